// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract WakeTest is Setup {
    bytes private _call = abi.encodeCall(IFederation.wake, ());

    function setUp() public {
        deployRunning(tiny(), 5);
    }

    /// @dev Nobody but the first four reveals; the window is not tallied.
    function _miss() private {
        fillWindow();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        passDeadline();
        passDeadline();
        federation.discard(federation.head().judgingWindow);
    }

    function test_wake_endsSleepFromTheNextTurn() public {
        _miss();
        _miss();
        vm.assertTrue(federation.participant(validators[4]).asleep);
        vm.assertEq(federation.participant(validators[4]).missed, 2);
        fillWindow();
        vm.assertEq(judged().active, 15);
        vm.expectEmit(address(federation));
        emit IFederation.Woke(validators[4]);
        vm.prank(validators[4]);
        federation.wake();
        vm.assertFalse(federation.participant(validators[4]).asleep);
        vm.assertEq(federation.participant(validators[4]).missed, 0);
        vm.assertEq(judged().active, 15);
        judge();
        fillWindow();
        vm.assertEq(judged().active, 31);
    }

    function test_wake_refusesTheAwake() public {
        bytes4 refusal = IFederation.NotAsleep.selector;
        refuses(validators[4], _call, abi.encodeWithSelector(refusal, validators[4]));
        _miss();
        refuses(validators[4], _call, abi.encodeWithSelector(refusal, validators[4]));
    }

    function test_wake_refusesWhoIsNotIn() public {
        bytes4 refusal = IFederation.NotParticipant.selector;
        refuses(address(this), _call, abi.encodeWithSelector(refusal, address(this)));
        _miss();
        _miss();
        vm.prank(validators[4]);
        federation.requestExit();
        jump(7 days + 1);
        vm.prank(validators[4]);
        federation.withdraw();
        refuses(validators[4], _call, abi.encodeWithSelector(refusal, validators[4]));
    }

    function test_wake_isNotNeededAfterARevealInBetween() public {
        _miss();
        fillWindow();
        for (uint256 i = 0; i < 5; ++i) revealAs(validators[i]);
        passDeadline();
        federation.discard(2);
        vm.assertEq(federation.participant(validators[4]).missed, 0);
        _miss();
        vm.assertFalse(federation.participant(validators[4]).asleep);
    }
}
