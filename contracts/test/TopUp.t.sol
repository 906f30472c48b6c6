// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract TopUpTest is Setup {
    function setUp() public {
        deployRunning(tiny(), 4);
    }

    function _refuses(address who, uint256 amount, uint256 value, bytes memory refusal) private {
        refuses(who, value, abi.encodeCall(IFederation.topUp, (amount)), refusal);
    }

    function testFuzz_topUp_addsToTheStake(uint96 amount) public {
        amount = uint96(bound(uint256(amount), 0, type(uint96).max - STAKE));
        address who = trainers[0];
        uint256 stakes = federation.head().stakes;
        vm.deal(who, amount);
        vm.expectEmit(address(federation));
        emit IFederation.StakeAdded(who, amount, uint256(STAKE) + amount);
        vm.prank(who);
        federation.topUp{value: amount}(amount);
        vm.assertEq(federation.participant(who).stake, uint256(STAKE) + amount);
        vm.assertEq(federation.head().stakes, stakes + amount);
        checkMoney();
    }

    function testFuzz_topUp_refusesOtherMoneyThanSaid(uint96 amount, uint96 value) public {
        vm.assume(amount != value);
        bytes4 refusal = IFederation.WrongAmount.selector;
        _refuses(trainers[0], amount, value, abi.encodeWithSelector(refusal, value, amount));
    }

    function test_topUp_refusesMoreThanItCanCount() public {
        uint256 amount = uint256(type(uint96).max) - STAKE + 1;
        bytes4 refusal = IFederation.AmountTooLarge.selector;
        bytes memory given = abi.encodeWithSelector(refusal, 2 ** 96, type(uint96).max);
        _refuses(trainers[0], amount, amount, given);
    }

    function test_topUp_refusesWhoIsNotIn() public {
        bytes4 refusal = IFederation.NotParticipant.selector;
        _refuses(address(this), 1, 1, abi.encodeWithSelector(refusal, address(this)));
    }

    function test_topUp_refusesWhoLeaves() public {
        vm.prank(trainers[0]);
        federation.requestExit();
        bytes4 refusal = IFederation.AlreadyLeaving.selector;
        _refuses(trainers[0], 1, 1, abi.encodeWithSelector(refusal, time()));
    }

    function test_topUp_mustReachTheMinimumAgain() public {
        allWillScore(MALFORMED);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        uint256 slash = STAKE / 50;
        bytes4 refusal = IFederation.StakeBelowMinimum.selector;
        bytes memory given = abi.encodeWithSelector(refusal, STAKE - 1, STAKE);
        _refuses(trainers[0], slash - 1, slash - 1, given);
        vm.deal(trainers[0], slash);
        vm.prank(trainers[0]);
        federation.topUp{value: slash}(slash);
        submitAs(trainers[0]);
    }
}
