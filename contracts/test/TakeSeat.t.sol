// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract TakeSeatTest is Setup {
    bytes private _call = abi.encodeCall(IFederation.takeSeat, ());
    uint256 private constant NEEDED = STAKE + STAKE / 10;

    /// 32 seats are taken; seat 7 is the cheapest.
    function setUp() public {
        deploy(tiny());
        joinTrainers(3);
        for (uint256 seat = 0; seat < 32; ++seat) joinValidator(seat == 7 ? STAKE : 3 * STAKE);
    }

    function _challenge(address who, uint256 stake) private {
        joinAs(who, VALIDATOR, stake);
        vm.prank(who);
        federation.takeSeat();
    }

    function _endWindow() private {
        passDeadline();
        federation.discard(federation.head().judgingWindow);
    }

    // ----- A seat from another -----

    function test_takeSeat_takesTheCheapestAtOnceBetweenWindows() public {
        address who = address(0xC4A);
        joinAs(who, VALIDATOR, NEEDED);
        vm.expectEmit(address(federation));
        emit IFederation.SeatLeft(validators[7], 7);
        vm.expectEmit(address(federation));
        emit IFederation.SeatTaken(who, 7);
        vm.prank(who);
        federation.takeSeat();
        vm.assertEq(federation.seatOf(7), who);
        vm.assertEq(federation.participant(who).seat, 7);
        vm.assertEq(federation.participant(validators[7]).seat, 255);
        vm.assertEq(federation.participant(validators[7]).roles, VALIDATOR);
        vm.assertEq(federation.head().seats, type(uint32).max);
    }

    function testFuzz_takeSeat_refusesLessThanATenthMore(uint256 stake) public {
        stake = bound(stake, STAKE, NEEDED - 1);
        address who = address(0xC4A);
        joinAs(who, VALIDATOR, stake);
        bytes4 refusal = IFederation.SeatTooCheap.selector;
        refuses(who, _call, abi.encodeWithSelector(refusal, stake, NEEDED));
    }

    function test_takeSeat_waitsForTheBoundaryWhileAWindowIsJudged() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address who = address(0xC4A);
        _challenge(who, NEEDED);
        vm.assertEq(federation.participant(who).seat, 255);
        vm.assertEq(federation.seatOf(7), validators[7]);
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.SeatTaken(who, 7);
        federation.discard(1);
        vm.assertEq(federation.participant(who).seat, 7);
        vm.assertEq(federation.weightOf(7), (NEEDED * 1_300_000) >> 47, "it judges at once");
    }

    function test_takeSeat_givesAChallengerItsSeatOnceNothingIsJudged() public {
        submitAs(trainers[0]);
        address who = address(0xC4A);
        _challenge(who, NEEDED);
        _endWindow(); // no other waits
        vm.assertEq(federation.participant(who).seat, 255);
        vm.prank(who);
        federation.takeSeat();
        vm.assertEq(federation.participant(who).seat, 7);
        vm.assertEq(federation.participant(validators[7]).seat, 255);
    }

    function test_takeSeat_letsAHigherStakeReplaceAChallenger() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address first = address(0xC4A);
        address second = address(0xC4B);
        _challenge(first, NEEDED + 5);
        joinAs(second, VALIDATOR, NEEDED + 5);
        bytes4 refusal = IFederation.SeatTooCheap.selector;
        refuses(second, _call, abi.encodeWithSelector(refusal, NEEDED + 5, NEEDED + 6));
        vm.deal(second, 1);
        vm.prank(second);
        federation.topUp{value: 1}(1);
        vm.prank(second);
        federation.takeSeat();
        _endWindow();
        vm.assertEq(federation.seatOf(7), second);
        vm.assertEq(federation.participant(first).seat, 255);
    }

    function test_takeSeat_tellsOfAChallengerOnceAndLetsItWait() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address who = address(0xC4A);
        joinAs(who, VALIDATOR, NEEDED);
        vm.expectEmit(address(federation));
        emit IFederation.SeatChallenged(who, NEEDED);
        vm.prank(who);
        federation.takeSeat();
        vm.recordLogs();
        vm.prank(who);
        federation.takeSeat();
        vm.assertEq(vm.getRecordedLogs().length, 0, "it waits already");
    }

    function test_takeSeat_asksNoMoreThanAChallengerWhoLeavesHad() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address first = address(0xC4A);
        address second = address(0xC4B);
        _challenge(first, 2 * NEEDED);
        vm.prank(first);
        federation.requestExit();
        _challenge(second, NEEDED);
        _endWindow();
        vm.assertEq(federation.seatOf(7), second);
    }

    function test_takeSeat_isGivenUpByAChallengerWhoLeaves() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address who = address(0xC4A);
        _challenge(who, NEEDED);
        vm.prank(who);
        federation.requestExit();
        _endWindow();
        vm.assertEq(federation.seatOf(7), validators[7]);
    }

    function test_takeSeat_isLostToWhoToppedUpMeanwhile() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address who = address(0xC4A);
        _challenge(who, NEEDED);
        vm.deal(validators[7], 1 ether);
        vm.prank(validators[7]);
        federation.topUp{value: 0.1 ether}(0.1 ether);
        _endWindow();
        vm.assertEq(federation.seatOf(7), validators[7]);
        vm.assertEq(federation.participant(who).seat, 255);
    }

    function test_takeSeat_getsAFreedSeatInsteadOfTheCheapest() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        address who = address(0xC4A);
        _challenge(who, NEEDED);
        vm.prank(validators[20]);
        federation.requestExit();
        _endWindow();
        vm.assertEq(federation.participant(who).seat, 20);
        vm.assertEq(federation.seatOf(7), validators[7]);
    }

    // ----- A free seat -----

    function test_takeSeat_freesTheSeatsOfThoseWhoLeaveBetweenWindows() public {
        vm.prank(validators[3]);
        federation.requestExit();
        vm.assertEq(federation.seatOf(3), validators[3]);
        address who = address(0xC4A);
        _challenge(who, STAKE);
        vm.assertEq(federation.seatOf(3), who, "needs no higher stake");
    }

    function test_takeSeat_takesAFreeSeatThoughAWindowIsJudged() public {
        vm.prank(validators[3]);
        federation.requestExit();
        address who = address(0xC4A);
        joinAs(who, VALIDATOR, STAKE);
        submitAs(trainers[0]);
        vm.assertEq(federation.seatOf(3), address(0));
        vm.prank(who);
        federation.takeSeat();
        vm.assertEq(federation.participant(who).seat, 3);
        vm.assertEq(federation.weightOf(3), 0, "judges from the next turn");
    }

    // ----- Who may not -----

    function test_takeSeat_refusesWhoHasOne() public {
        bytes4 refusal = IFederation.AlreadySeated.selector;
        refuses(validators[9], _call, abi.encodeWithSelector(refusal, 9));
    }

    function test_takeSeat_refusesWhoIsNoValidator() public {
        bytes4 refusal = IFederation.NotValidator.selector;
        refuses(trainers[0], _call, abi.encodeWithSelector(refusal, trainers[0]));
    }

    function test_takeSeat_refusesWhoIsNotInOrLeaves() public {
        bytes4 stranger = IFederation.NotParticipant.selector;
        refuses(address(this), _call, abi.encodeWithSelector(stranger, address(this)));
        vm.prank(validators[9]);
        federation.requestExit();
        bytes4 leaving = IFederation.AlreadyLeaving.selector;
        refuses(validators[9], _call, abi.encodeWithSelector(leaving, time()));
    }
}
