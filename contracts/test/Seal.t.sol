// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract SealTest is Setup {
    bytes private _call = abi.encodeCall(IFederation.seal, ());

    function setUp() public {
        deployRunning(usual(), 4);
    }

    function _submit(uint256 first, uint256 count) private {
        for (uint256 i = first; i < first + count; ++i) submitAs(trainers[i]);
    }

    function test_seal_refusesAnEmptyWindow() public {
        jump(30 days);
        refuses(
            address(this),
            _call,
            abi.encodeWithSelector(IFederation.NothingToSeal.selector, 1)
        );
        fillWindow();
        refuses(
            address(this),
            _call,
            abi.encodeWithSelector(IFederation.NothingToSeal.selector, 2)
        );
    }

    function testFuzz_seal_takesEnoughUpdatesAfterMaxWaitOnly(uint256 elapsed) public {
        elapsed = bound(elapsed, 0, 1 hours);
        _submit(0, 1);
        uint256 notBefore = time() + 1 hours + 1;
        jump(elapsed);
        _submit(1, 2);
        refuses(
            address(this),
            _call,
            abi.encodeWithSelector(IFederation.TooEarly.selector, notBefore)
        );
        vm.warp(notBefore);
        vm.expectEmit(address(federation));
        emit IFederation.WindowSealed(1, 3);
        federation.seal();
        vm.assertEq(federation.window(1).sealedAt, notBefore);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Commit));
    }

    function test_seal_refusesOnTheLastSecondOfMaxWait() public {
        _submit(0, 3);
        jump(1 hours);
        bytes memory refusal = abi.encodeWithSelector(IFederation.TooEarly.selector, time() + 1);
        refuses(address(this), _call, refusal);
    }

    function test_seal_voidsTooFewUpdatesAfterTwiceMaxWait() public {
        _submit(0, 2);
        uint256 notBefore = time() + 2 hours + 1;
        vm.warp(notBefore - 1);
        bytes memory refusal = abi.encodeWithSelector(IFederation.TooEarly.selector, notBefore);
        refuses(address(this), _call, refusal);
        vm.warp(notBefore);
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, IFederation.VoidReason.TooFewUpdates);
        federation.seal();

        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().judgingWindow, 2);
        vm.assertEq(federation.head().openWindow, 2);
        vm.assertEq(submitAs(trainers[0]), 32, "the same base again: it was not judged");
    }

    function test_seal_takesAFullWindowAtOnce() public {
        _submit(0, 3);
        for (uint256 i = 3; i < 5; ++i) {
            vm.prank(trainers[i]);
            federation.requestExit();
        }
        vm.assertEq(federation.head().effectiveSize, 3);
        federation.seal();
        vm.assertEq(federation.window(1).updates, 3);
        vm.assertEq(federation.head().openWindow, 2);
    }

    function test_seal_leavesTheNextToItsTurn() public {
        joinTrainers(4);
        fillWindow();
        _submit(4, 3);
        jump(1 hours + 1);
        federation.seal();
        vm.assertEq(federation.head().judgingWindow, 1);
        vm.assertEq(uint8(federation.window(2).phase), uint8(IFederation.Phase.Sealed));
        vm.assertEq(federation.window(2).tag, 0);
        vm.assertEq(federation.window(2).deadline, 0);
        vm.assertEq(federation.window(2).active, 0);
    }

    function test_seal_doesNotStopAtAVoidWindow() public {
        joinTrainers(7);
        fillWindow();
        _submit(4, 2);
        jump(2 hours + 1);
        federation.seal();
        vm.assertEq(uint8(federation.window(2).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().judgingWindow, 1, "1 is still to be ended");
        _submit(6, 4);
        federation.discard(1);
        vm.assertEq(federation.head().judgingWindow, 3);
        vm.assertEq(uint8(federation.window(3).phase), uint8(IFederation.Phase.Commit));
    }
}
