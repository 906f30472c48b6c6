// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";
import {Vm} from "./Vm.sol";

contract TurnTest is Setup {
    function setUp() public {
        deployRunning(usual(), 5);
    }

    /// Four trainers more: two windows can wait.
    function _fillTwo() private {
        joinTrainers(4);
        fillWindow();
        fillWindowFrom(4);
    }

    function _weights(uint256 count) private pure returns (uint256[] memory weights) {
        // 0.1 ether x 1.3e6 is 1.3e23, of 77 bits: 45 are dropped.
        weights = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) weights[i] = (uint256(STAKE) * 1_300_000) >> 45;
    }

    // ----- What is fixed -----

    function test_turn_fixesBaseTagActiveSetAndWeights() public {
        uint64 running;
        for (uint256 i = 0; i < 4; ++i) {
            bytes32 digest = keccak256(abi.encode(i));
            uint256 samples = i + 1;
            bytes memory item = abi.encode(running, trainers[i], 0, digest, RAW, 1, samples);
            running = uint64(uint256(keccak256(item)));
            if (i == 3) {
                bytes memory seed = abi.encode(
                    block.chainid,
                    address(federation),
                    uint256(1),
                    uint256(running),
                    usualGenesis().model
                );
                uint64 tag = uint64(uint256(keccak256(seed)));
                vm.expectEmit(address(federation));
                emit IFederation.TurnBegan(1, 0, tag, 31, _weights(5));
            }
            submitAs(trainers[i], 0, digest, RAW, uint32(samples));
        }

        IFederation.Window memory w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Commit));
        vm.assertEq(w.deadline, time() + 15 minutes);
        vm.assertEq(w.baseVersion, 0);
        vm.assertEq(w.active, 31);
        vm.assertEq(uint256(w.committed) + w.revealed + w.attested, 0);
        vm.assertNotEq(w.tag, 0);
        for (uint8 seat = 0; seat < 5; ++seat)
            vm.assertEq(federation.weightOf(seat), _weights(1)[0]);
        vm.assertEq(federation.weightOf(5), 0);
        vm.assertEq(federation.weightOf(255), 0);
    }

    function test_turn_begetsAnotherTagForOtherContents() public {
        fillWindow();
        uint64 tag = judged().tag;
        judge();
        fillWindow();
        vm.assertNotEq(judged().tag, tag);
        vm.assertEq(judged().baseVersion, 1);
    }

    function test_turn_revealsDirectlyWithoutACommitPeriod() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        fillWindow();
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(judged().deadline, time() + 15 minutes);
    }

    /// Against stake x (1 + reputation), divided by two until the largest fits 32 bits.
    function testFuzz_turn_weighsByStakeAndReputation(uint96[5] memory stakes) public {
        deploy(usual());
        joinTrainers(5);
        uint256 largest;
        for (uint256 i = 0; i < 5; ++i) {
            stakes[i] = uint96(bound(stakes[i], STAKE, type(uint96).max));
            if (stakes[i] > largest) largest = stakes[i];
            joinValidator(stakes[i]);
        }
        uint256 divisor = 1;
        while ((largest * 1_300_000) / divisor >= 2 ** 32) divisor *= 2;
        fillWindow();
        for (uint8 i = 0; i < 5; ++i) {
            uint256 weight = (uint256(stakes[i]) * 1_300_000) / divisor;
            vm.assertEq(federation.weightOf(i), weight == 0 ? 1 : weight);
        }
    }

    function test_turn_countsReputationInTheWeight() public {
        runWindow();
        uint256[] memory reputations = new uint256[](5);
        for (uint256 i = 0; i < 5; ++i) {
            reputations[i] = federation.participant(validators[i]).validatorReputation;
        }
        vm.assertGt(reputations[0], START);
        fillWindow();
        for (uint8 i = 0; i < 5; ++i) {
            vm.assertEq(federation.weightOf(i), (uint256(STAKE) * (1e6 + reputations[i])) >> 45);
        }
    }

    function test_turn_fixesWeightsUntilTheNext() public {
        _fillTwo();
        vm.deal(validators[0], STAKE);
        vm.prank(validators[0]);
        federation.topUp{value: STAKE}(STAKE);
        vm.assertEq(federation.weightOf(0), federation.weightOf(1));
        passDeadline();
        federation.discard(1);
        vm.assertEq(federation.window(2).active, 31);
        vm.assertEq(federation.weightOf(0) / 2, federation.weightOf(1), "one shift more");
    }

    function test_turn_letsANewcomerJudgeTheNext() public {
        _fillTwo();
        joinValidator(STAKE);
        vm.assertEq(judged().active, 31);
        vm.assertEq(federation.weightOf(5), 0);
        judge();
        vm.assertEq(judged().id, 2);
        vm.assertEq(judged().active, 63);
    }

    // ----- Who does not judge -----

    function test_turn_freesTheSeatsOfThoseWhoLeave() public {
        _fillTwo();
        vm.prank(validators[1]);
        federation.requestExit();
        vm.assertEq(federation.seatOf(1), validators[1], "until the boundary");
        vm.assertTrue(isActive(validators[1], judged().active));
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], nextModel());
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.SeatLeft(validators[1], 1);
        federation.settle(1);
        vm.assertEq(federation.seatOf(1), address(0));
        vm.assertEq(federation.participant(validators[1]).seat, 255);
        vm.assertEq(federation.head().seats, 29);
        vm.assertEq(judged().active, 29);
        joinValidator(STAKE);
        vm.assertEq(federation.participant(validators[5]).seat, 1, "the first free seat");
    }

    function test_turn_leavesOutWhoSleepsUntilItWakes() public {
        for (uint256 k = 0; k < 2; ++k) {
            fillWindow();
            for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
            passDeadline();
            for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
            tally();
            for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], nextModel());
            settle();
        }
        vm.assertTrue(federation.participant(validators[4]).asleep);
        vm.assertEq(federation.participant(validators[4]).seat, 4);
        fillWindow();
        vm.assertEq(judged().active, 15);
        vm.prank(validators[4]);
        federation.wake();
        judge();
        fillWindow();
        vm.assertEq(judged().active, 31);
    }

    function test_turn_leavesOutAShortStakeUntilItIsToppedUp() public {
        fillWindow();
        commitAll();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        passDeadline();
        tally();
        attestAll(nextModel());
        vm.assertEq(federation.participant(validators[4]).stake, STAKE - STAKE / 50);
        fillWindow();
        vm.assertEq(judged().active, 15);
        vm.deal(validators[4], STAKE);
        vm.prank(validators[4]);
        federation.topUp{value: STAKE / 50}(STAKE / 50);
        vm.assertEq(judged().active, 15);
        judge();
        fillWindow();
        vm.assertEq(judged().active, 31);
    }

    // ----- Too few -----

    function test_turn_voidsWhatTooFewCanJudge() public {
        deploy(usual());
        joinTrainers(5);
        joinValidators(3);
        for (uint256 i = 0; i < 3; ++i) submitAs(trainers[i]);
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, IFederation.VoidReason.TooFewValidators);
        submitAs(trainers[3]);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().judgingWindow, 2);
        joinValidators(1);
        fillWindow();
        vm.assertEq(judged().active, 15);
    }

    function test_turn_voidsAllThatWaitWhenTooFewCanJudge() public {
        deploy(tiny());
        joinTrainers(9);
        joinValidators(4);
        for (uint256 i = 0; i < 7; ++i) submitAs(trainers[i]);
        vm.prank(validators[0]);
        federation.requestExit();
        passDeadline();
        vm.recordLogs();
        federation.discard(1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IFederation.WindowVoided.selector), 7);
        vm.assertEq(countOf(logs, IFederation.TurnBegan.selector), 0);
        vm.assertEq(federation.head().judgingWindow, 8);
        for (uint32 id = 1; id < 8; ++id) {
            vm.assertEq(uint8(federation.window(id).phase), uint8(IFederation.Phase.Void));
        }
        joinValidators(1);
        fillWindow();
        vm.assertEq(judged().id, 8);
        judge();
        vm.assertEq(federation.head().version, 1);
    }
}
