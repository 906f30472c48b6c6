// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract OwnerTest is Setup {
    bytes private _sweepPool = abi.encodeCall(IFederation.sweepPool, ());
    bytes private _sweepSlashed = abi.encodeCall(IFederation.sweepSlashed, ());

    function setUp() public {
        deployRunning(tiny(), 4);
    }

    function _close() private {
        vm.prank(owner);
        federation.close();
    }

    function test_owner_isTheOnlyOneToPauseCloseAndBump() public {
        bytes[4] memory calls = [
            abi.encodeCall(IFederation.pause, ()),
            abi.encodeCall(IFederation.unpause, ()),
            abi.encodeCall(IFederation.close, ()),
            abi.encodeCall(IFederation.bumpInvitationEpoch, ())
        ];
        bytes4 refusal = IFederation.NotOwner.selector;
        for (uint256 i = 0; i < 4; ++i) {
            refuses(validators[0], calls[i], abi.encodeWithSelector(refusal, validators[0]));
            refuses(address(this), calls[i], abi.encodeWithSelector(refusal, address(this)));
        }
    }

    function test_pause_stopsSubmissionsAlone() public {
        submitAs(trainers[0]);
        vm.expectEmit(address(federation));
        emit IFederation.Paused();
        vm.prank(owner);
        federation.pause();
        vm.assertTrue(federation.head().paused);
        judge();
        vm.assertEq(federation.head().version, 1);
        joinTrainers(1);
        vm.expectEmit(address(federation));
        emit IFederation.Unpaused();
        vm.prank(owner);
        federation.unpause();
        vm.assertFalse(federation.head().paused);
        submitAs(trainers[2]);
    }

    function test_close_isForGoodAndLetsWindowsFinishAndPay() public {
        fund(1 ether);
        jump(1 days);
        submitAs(trainers[0]);
        vm.expectEmit(address(federation));
        emit IFederation.Closed();
        _close();
        vm.assertTrue(federation.head().closed);
        judge();
        vm.assertEq(federation.head().version, 1);
        vm.assertGt(federation.participant(trainers[0]).credit, 0);

        bytes[4] memory calls = [
            abi.encodeCall(IFederation.pause, ()),
            abi.encodeCall(IFederation.unpause, ()),
            abi.encodeCall(IFederation.close, ()),
            abi.encodeCall(IFederation.fund, (0))
        ];
        bytes memory refusal = abi.encodeWithSelector(IFederation.IsClosed.selector);
        for (uint256 i = 0; i < 4; ++i) refuses(owner, calls[i], refusal);
    }

    function test_close_leavesAPauseAsItIs() public {
        vm.prank(owner);
        federation.pause();
        _close();
        vm.assertTrue(federation.head().paused);
    }

    function test_close_voidsAnOpenWindowThatStaysTooSmall() public {
        deployRunning(usual(), 4);
        submitAs(trainers[0]);
        _close();
        bytes4 refusal = IFederation.WindowsInFlight.selector;
        fundless(abi.encodeWithSelector(refusal, 1, 1));
        jump(2 hours + 1);
        federation.seal();
        fundless(abi.encodeWithSelector(IFederation.NothingToPay.selector));
    }

    function fundless(bytes memory refusal) private {
        refuses(address(this), _sweepPool, refusal);
    }

    // ----- Money -----

    function testFuzz_fund_addsToThePool(uint96 first, uint96 second) public {
        vm.deal(trainers[0], uint256(first) + second);
        vm.startPrank(trainers[0]);
        vm.expectEmit(address(federation));
        emit IFederation.Funded(trainers[0], first);
        federation.fund{value: first}(first);
        federation.fund{value: second}(second);
        vm.stopPrank();
        vm.assertEq(federation.head().pool, uint256(first) + second);
        checkMoney();
    }

    function test_fund_refusesOtherMoneyThanSaid() public {
        bytes4 refusal = IFederation.WrongAmount.selector;
        bytes memory call = abi.encodeCall(IFederation.fund, (5));
        refuses(address(this), 4, call, abi.encodeWithSelector(refusal, 4, 5));
    }

    function test_fund_refusesMoreThanItCanCount() public {
        fund(type(uint104).max);
        bytes4 refusal = IFederation.AmountTooLarge.selector;
        refuses(
            owner,
            1,
            abi.encodeCall(IFederation.fund, (1)),
            abi.encodeWithSelector(refusal, 2 ** 104, type(uint104).max)
        );
    }

    function test_fund_countsWhatIsCreditedToo() public {
        deployRunning(usual(), 5);
        fund(1000 ether);
        jump(1 hours);
        runWindow();
        IFederation.Head memory h = federation.head();
        vm.assertGt(h.credits, 0);
        uint256 room = type(uint104).max - h.pool - h.credits;
        bytes4 refusal = IFederation.AmountTooLarge.selector;
        refuses(
            owner,
            room + 1,
            abi.encodeCall(IFederation.fund, (room + 1)),
            abi.encodeWithSelector(refusal, 2 ** 104, type(uint104).max)
        );
        fund(room);
        checkMoney();
    }

    function test_sweepPool_sendsTheRestToTheTreasuryOnceAllHasEnded() public {
        fund(1 ether);
        jump(1 days);
        submitAs(trainers[0]);
        refuses(address(this), _sweepPool, abi.encodeWithSelector(IFederation.NotClosed.selector));
        _close();
        bytes4 refusal = IFederation.WindowsInFlight.selector;
        refuses(address(this), _sweepPool, abi.encodeWithSelector(refusal, 1, 2));
        judge();
        uint256 rest = federation.head().pool;
        vm.assertLt(rest, 1 ether);
        vm.expectEmit(address(federation));
        emit IFederation.PoolSwept(rest);
        vm.prank(address(0x123));
        federation.sweepPool();
        vm.assertEq(treasury.balance, rest);
        vm.assertEq(federation.head().pool, 0);
        checkMoney();
        bytes memory nothing = abi.encodeWithSelector(IFederation.NothingToPay.selector);
        refuses(address(this), _sweepPool, nothing);
        vm.prank(trainers[0]);
        federation.claim();
    }

    function test_sweepPool_saysWhenTheTreasuryRefuses() public {
        IFederation.Parameters memory p = tiny();
        p.treasury = address(this);
        deploy(p);
        fund(3);
        _close();
        bytes4 refusal = IFederation.TransferFailed.selector;
        refuses(owner, _sweepPool, abi.encodeWithSelector(refusal, address(this), 3));
        vm.assertEq(federation.head().pool, 3);
    }

    function test_sweepSlashed_sendsWhatWasSlashedToTheSink() public {
        bytes memory nothing = abi.encodeWithSelector(IFederation.NothingToPay.selector);
        refuses(address(this), _sweepSlashed, nothing);
        allWillScore(MALFORMED);
        for (uint256 i = 0; i < 2; ++i) {
            submitAs(trainers[i]);
            scoreAll();
            tally();
        }
        uint256 slashed = STAKE / 25;
        vm.assertEq(federation.head().slashed, slashed);
        checkMoney();
        vm.expectEmit(address(federation));
        emit IFederation.SlashedSwept(slashed);
        federation.sweepSlashed();
        vm.assertEq(sink.balance, slashed);
        vm.assertEq(federation.head().slashed, 0);
        refuses(address(this), _sweepSlashed, nothing);
        checkMoney();
    }
}
