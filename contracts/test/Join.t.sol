// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract JoinTest is Setup {
    bytes32 private constant PROFILE = keccak256("profile");
    address private constant WHO = address(0x3E3);

    function setUp() public {
        deploy(usual());
    }

    function _refuses(uint8 roles, uint256 stake, uint256 value, bytes memory refusal) private {
        refuses(WHO, value, abi.encodeCall(IFederation.join, (roles, PROFILE, stake)), refusal);
    }

    function testFuzz_join_takesStakeAndRoles(uint8 roles, uint96 stake) public {
        roles = uint8(bound(uint256(roles), 1, 3));
        stake = uint96(bound(uint256(stake), STAKE, type(uint96).max));
        vm.deal(WHO, stake);
        vm.expectEmit(address(federation));
        emit IFederation.Joined(WHO, roles, stake, PROFILE);
        if (roles & VALIDATOR != 0) {
            vm.expectEmit(address(federation));
            emit IFederation.SeatTaken(WHO, 0);
        }
        vm.prank(WHO);
        federation.join{value: stake}(roles, PROFILE, stake);

        IFederation.Participant memory p = federation.participant(WHO);
        vm.assertEq(p.roles, roles);
        vm.assertEq(p.stake, stake);
        vm.assertEq(p.profile, PROFILE);
        vm.assertEq(p.trainerReputation, START);
        vm.assertEq(p.validatorReputation, START);
        vm.assertEq(p.seat, roles & VALIDATOR != 0 ? 0 : 255);
        vm.assertEq(uint256(p.exitAt) + p.withdrawableAt + p.credit + p.missed, 0);
        vm.assertEq(uint256(p.trainerJailedUntil) + p.validatorJailedUntil, 0);
        vm.assertEq(federation.head().trainers, roles & TRAINER);
        vm.assertEq(federation.head().seats, roles / 2);
        vm.assertEq(federation.head().stakes, stake);
        checkMoney();
    }

    function test_join_seatsThirtyTwo() public {
        joinValidators(33);
        vm.assertEq(federation.head().seats, type(uint32).max);
        vm.assertEq(federation.participant(validators[31]).seat, 31);
        vm.assertEq(federation.participant(validators[32]).seat, 255, "a validator without a seat");
        vm.assertEq(federation.participant(validators[32]).roles, VALIDATOR);
        vm.assertEq(federation.seatOf(31), validators[31]);
        vm.assertEq(federation.seatOf(32), address(0));
    }

    function test_join_refusesWithoutInvitation() public {
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
        bytes4 refusal = IFederation.InvitationRequired.selector;
        _refuses(TRAINER, STAKE, STAKE, abi.encodeWithSelector(refusal));
    }

    function test_join_refusesWhenClosed() public {
        vm.prank(owner);
        federation.close();
        bytes4 refusal = IFederation.IsClosed.selector;
        _refuses(TRAINER, STAKE, STAKE, abi.encodeWithSelector(refusal));
    }

    function testFuzz_join_refusesOtherMoneyThanSaid(uint96 stake, uint96 value) public {
        vm.assume(stake != value);
        bytes4 refusal = IFederation.WrongAmount.selector;
        _refuses(TRAINER, stake, value, abi.encodeWithSelector(refusal, value, stake));
    }

    function testFuzz_join_refusesTooLittle(uint96 stake) public {
        stake = uint96(bound(uint256(stake), 0, STAKE - 1));
        bytes4 refusal = IFederation.StakeBelowMinimum.selector;
        _refuses(TRAINER, stake, stake, abi.encodeWithSelector(refusal, stake, STAKE));
    }

    function testFuzz_join_refusesMoreThanItCanCount(uint128 stake) public {
        stake = uint128(bound(uint256(stake), 2 ** 96, type(uint128).max));
        bytes4 refusal = IFederation.AmountTooLarge.selector;
        bytes memory given = abi.encodeWithSelector(refusal, stake, type(uint96).max);
        _refuses(VALIDATOR, stake, stake, given);
    }

    function testFuzz_join_refusesOtherRoles(uint8 roles) public {
        vm.assume(roles == 0 || roles > 3);
        bytes4 refusal = IFederation.InvalidRoles.selector;
        _refuses(roles, STAKE, STAKE, abi.encodeWithSelector(refusal, roles));
    }

    function test_join_refusesASecondTime() public {
        joinAs(WHO, TRAINER, STAKE);
        bytes memory refusal = abi.encodeWithSelector(IFederation.AlreadyParticipant.selector, WHO);
        _refuses(VALIDATOR, STAKE, STAKE, refusal);
        vm.prank(WHO);
        federation.requestExit();
        _refuses(VALIDATOR, STAKE, STAKE, refusal);
    }

    function test_join_refusesMoreParticipantsThanItHasIds() public {
        joinTrainers(3);
        bytes32 slot = bytes32(uint256(5)); // Ledger.State.membership
        uint256 word = uint256(vm.load(address(federation), slot));
        vm.assertEq(uint24(word), 3, "the slot of the membership");
        vm.store(address(federation), slot, bytes32(word | (2 ** 20 - 1)));
        bytes4 refusal = IFederation.TooManyParticipants.selector;
        _refuses(TRAINER, STAKE, STAKE, abi.encodeWithSelector(refusal, 2 ** 20 - 1));
    }

    function test_join_keepsTheReputationOfOneWhoWasHere() public {
        deployRunning(usual(), 5);
        runWindow();
        IFederation.Participant memory before = federation.participant(validators[4]);
        uint256 trained = federation.participant(trainers[0]).trainerReputation;
        vm.assertGt(before.validatorReputation, START);
        vm.assertGt(trained, START);
        address[2] memory both = [trainers[0], validators[4]];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(both[i]);
            federation.requestExit();
        }
        jump(7 days + 1);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(both[i]);
            federation.withdraw();
            vm.assertEq(federation.participant(both[i]).roles, 0);
            joinAs(both[i], 3, STAKE);
        }
        IFederation.Participant memory p = federation.participant(validators[4]);
        vm.assertEq(p.validatorReputation, before.validatorReputation);
        vm.assertEq(p.exitAt, 0);
        vm.assertEq(p.seat, 4);
        vm.assertEq(federation.participant(trainers[0]).trainerReputation, trained);
    }

    /// Who leaves and comes back has its stake whole again, but not its jail behind it.
    function test_join_doesNotEndAJail() public {
        IFederation.Parameters memory p = tiny();
        p.jailPeriod = 30 days;
        deployRunning(p, 4);
        for (uint256 k = 0; k < 3; ++k) {
            allWillScore(k == 2 ? MALFORMED : int16(-2000));
            submitAs(trainers[0]);
            scoreAll();
            tally();
        }
        uint256 until = time() + 30 days;
        vm.prank(trainers[0]);
        federation.requestExit();
        jump(7 days + 1);
        vm.prank(trainers[0]);
        federation.withdraw();
        joinAs(trainers[0], TRAINER, STAKE);
        vm.assertEq(federation.participant(trainers[0]).trainerJailedUntil, until);
        bytes memory call = abi.encodeCall(IFederation.submitUpdate, (0, PROFILE, RAW, 1, 1));
        bytes4 refusal = IFederation.JailedUntil.selector;
        refuses(trainers[0], call, abi.encodeWithSelector(refusal, until));
        vm.warp(until + 1);
        submitAs(trainers[0]);
    }

    function test_join_wakesWhoLeftAsleep() public {
        deployRunning(tiny(), 4);
        for (uint256 k = 0; k < 2; ++k) {
            fillWindow();
            passDeadline();
            federation.discard(federation.head().judgingWindow);
        }
        vm.assertTrue(federation.participant(validators[0]).asleep);
        vm.prank(validators[0]);
        federation.requestExit();
        jump(7 days + 1);
        vm.prank(validators[0]);
        federation.withdraw();
        joinAs(validators[0], VALIDATOR, STAKE);
        vm.assertFalse(federation.participant(validators[0]).asleep);
        vm.assertEq(federation.participant(validators[0]).validatorReputation, 243_000);
    }

    function test_setProfile_recordsIt() public {
        joinAs(WHO, TRAINER, STAKE);
        vm.expectEmit(address(federation));
        emit IFederation.ProfileChanged(WHO, keccak256("new"));
        vm.prank(WHO);
        federation.setProfile(keccak256("new"));
        vm.assertEq(federation.participant(WHO).profile, keccak256("new"));
    }

    function test_setProfile_refusesWhoIsNotIn() public {
        refuses(
            WHO,
            abi.encodeCall(IFederation.setProfile, (PROFILE)),
            abi.encodeWithSelector(IFederation.NotParticipant.selector, WHO)
        );
    }
}
