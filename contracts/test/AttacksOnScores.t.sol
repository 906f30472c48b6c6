// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Attacks} from "./Attacks.sol";

/// @title Lies, copies, vetoes: what can be done by those who judge
contract ScoringAttacksTest is Attacks {
    function setUp() public {
        deployRunning(usual(), 5);
        fund(100 ether);
        jump(1 hours);
    }

    function test_aCopiedCommitment_cannotBeRevealedAndCostsTheCopyist() public {
        fillWindow();
        commitAs(validators[0]);
        IFederation.Window memory w = judged();
        bytes32 copy = federation.commitmentOf(0);
        callAs(validators[1], abi.encodeCall(IFederation.commitScores, (w.id, copy, w.tag)));
        for (uint256 i = 2; i < 5; ++i) commitAs(validators[i]);
        revealAs(validators[0]);

        bytes memory scores = scoresOf(validators[0], 4);
        bytes32 salt = saltOf(validators[0], w.id);
        bytes32 own = kept(commitmentTo(validators[1], w.id, w.tag, scores, 4, salt));
        refuses(
            validators[1],
            abi.encodeCall(IFederation.revealScores, (w.id, w.tag, 4, scores, salt)),
            abi.encodeWithSelector(IFederation.CommitmentMismatch.selector, own, copy)
        );
        for (uint256 i = 2; i < 5; ++i) revealAs(validators[i]);
        passDeadline();
        tally();
        attestAll(nextModel());
        vm.assertEq(who(validators[1]).stake, STAKE - SLASH, "committed and not revealed");
        vm.assertEq(who(validators[1]).credit, 0);
        vm.assertEq(who(validators[0]).stake, STAKE);
        checkMoney();
    }

    function test_anotherTag_isRefusedEverywhere() public {
        fillWindow();
        IFederation.Window memory w = judged();
        uint64 other = w.tag ^ 1;
        bytes memory refusal = abi.encodeWithSelector(IFederation.WrongTag.selector, other, w.tag);
        address v = validators[0];
        refuses(v, abi.encodeCall(IFederation.commitScores, (w.id, bytes32(0), other)), refusal);
        commitAll();
        bytes memory scores = scoresOf(v, 4);
        bytes32 salt = saltOf(v, w.id);
        refuses(
            v,
            abi.encodeCall(IFederation.revealScores, (w.id, other, 4, scores, salt)),
            refusal
        );
        revealAll();
        tally();
        refuses(
            v,
            abi.encodeCall(IFederation.attestModel, (w.id, other, bytes32("m"), 0)),
            refusal
        );
    }

    function test_otherContents_giveAnotherTag() public {
        uint256 before = vm.snapshotState();
        fillWindow();
        uint64 tag = judged().tag;
        vm.revertToState(before);
        submitAs(trainers[0], 0, keccak256("a reorganised update"), RAW, 100);
        fillWindowFrom(1);
        vm.assertTrue(judged().tag != tag, "what was said of one is not said of the other");
    }

    /// @notice Whatever an author declares is part of what is judged.
    function testFuzz_otherTerms_giveAnotherTag(
        bool isNode,
        uint8 encoding,
        uint32 samples
    ) public {
        (uint8 codec, bytes32 digest) = (isNode ? DAG_PB : RAW, keccak256("an update"));
        vm.assume(samples != 0 && (isNode || encoding != 1 || samples != 100));
        uint256 before = vm.snapshotState();
        callAs(trainers[0], abi.encodeCall(IFederation.submitUpdate, (0, digest, RAW, 1, 100)));
        fillWindowFrom(1);
        uint64 tag = judged().tag;
        vm.revertToState(before);
        callAs(
            trainers[0],
            abi.encodeCall(IFederation.submitUpdate, (0, digest, codec, encoding, samples))
        );
        fillWindowFrom(1);
        vm.assertTrue(judged().tag != tag);
    }

    /// @notice Four of seven outvote the others twice, in two windows without a version. If that sent the others to
    /// sleep, the four alone would judge the third.
    function test_aMajority_cannotSendTheOthersToSleep() public {
        deployRunning(usual(), 7);
        joinTrainers(8);
        for (uint256 window = 1; window <= 2; ++window) {
            fillWindowFrom(0);
            scoreAll();
            tally();
            if (window == 2) fillWindowFrom(4); // the third waits: its turn begins with the second's end
            for (uint256 i = 0; i < 7; ++i)
                attestAs(validators[i], i < 4 ? keccak256("poisoned") : nextModel());
            vm.assertEq(federation.head().version, 0, "4 of 7 are no quorum");
        }
        vm.assertEq(judged().active, 127, "all seven judge the third window");
    }

    /// @notice Three of seven attest garbage: no version comes of it until their reputation has jailed them.
    function test_garbageFromAThird_voidsSevenWindowsAndNoMore() public {
        deployRunning(usual(), 7);
        uint256 void;
        for (; federation.head().version == 0; ++void) {
            fillWindow();
            scoreAll();
            tally();
            (uint32 active, bytes32 model) = (judged().active, nextModel());
            for (uint256 i = 0; i < 7; ++i) {
                if (!isActive(validators[i], active)) continue;
                attestAs(validators[i], i < 4 ? model : keccak256("garbage"));
            }
        }
        vm.assertEq(void, 8, "seven are void, and the eighth is a version");
        for (uint256 i = 0; i < 7; ++i) vm.assertEq(who(validators[i]).stake, STAKE);
    }

    /// @notice A payload shown to six of eleven, twice: those who could not have it are outvoted, and stay.
    function test_aPayloadForSome_sendsNobodyToSleep() public {
        deployRunning(usual(), 11);
        joinTrainers(8);
        for (uint256 i = 0; i < 11; ++i)
            willScore(validators[i], list(40, 30, 20, i < 6 ? int16(10) : UNAVAILABLE));
        for (uint256 window = 1; window <= 2; ++window) {
            fillWindowFrom(0);
            scoreAll();
            tally();
            if (window == 2) fillWindowFrom(4);
            attestAll(nextModel());
            vm.assertEq(federation.head().version, window);
        }
        vm.assertEq(judged().active, 2047, "all eleven judge the third window");
    }

    function test_aCode_isNoVeto() public {
        for (uint256 window = 0; window < 2; ++window) {
            fillWindow();
            willScore(validators[3], same(UNAVAILABLE, 4));
            willScore(validators[4], same(MALFORMED, 4));
            judge();
            for (uint256 i = 0; i < 4; ++i) {
                IFederation.Update memory u = federation.update((window + 1) * 16 + i);
                vm.assertTrue(u.verdict == IFederation.Verdict.Paid, "paid all the same");
            }
        }
        vm.assertEq(federation.head().version, 2);
        for (uint256 i = 3; i < 5; ++i) {
            vm.assertFalse(who(validators[i]).asleep, "they were there");
            vm.assertEq(who(validators[i]).credit, 0);
            vm.assertEq(who(validators[i]).validatorReputation, 243_000);
            vm.assertEq(who(validators[i]).stake, STAKE, "and costs no stake");
        }
    }

    function test_keepVotesOfZero_areOutvoted() public {
        fillWindow();
        willKeep(validators[3], 0);
        willKeep(validators[4], 0);
        scoreAll();
        vm.recordLogs();
        tally();
        bytes memory data = dataOf(vm.getRecordedLogs(), IFederation.WindowTallied.selector);
        vm.assertEq(abi.decode(data, (uint8)), 4);
        attestAll(nextModel());
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Final);
    }

    function test_constantScores_earnNothing() public {
        fillWindow();
        willScore(validators[4], same(50, 4));
        judge();
        vm.assertEq(who(validators[4]).credit, 0);
        vm.assertGt(who(validators[0]).credit, 0);
    }

    function test_constantScores_earnNothingEvenAloneInAWordOfSeats() public {
        joinValidators(4); // seats 5 to 8: the last is alone in its word
        runWindow();
        uint128 earned = who(validators[8]).credit;
        vm.assertGt(earned, 0);
        jump(1 hours);
        fillWindow();
        willScore(validators[8], same(50, 4));
        judge();
        vm.assertEq(who(validators[8]).credit, earned);
    }

    function test_aMinorityOfLiars_cannotMalformPayOrFinalise() public {
        fillWindow();
        for (uint256 i = 3; i < 5; ++i) {
            willScore(validators[i], list(MALFORMED, -10_000, 9_990, 9_990));
        }
        scoreAll();
        tally();
        vm.assertTrue(federation.update(16).verdict == IFederation.Verdict.Paid);
        vm.assertTrue(federation.update(17).verdict == IFederation.Verdict.Paid);
        for (uint256 i = 3; i < 5; ++i) attestAs(validators[i], keccak256("poisoned"));
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], keccak256("honest"));
        vm.assertEq(federation.head().version, 0, "3 of 5 are no quorum: void");
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Void);
        vm.assertLt(who(validators[4]).validatorReputation, 270_001, "against a majority");
        vm.assertEq(who(validators[4]).missed, 0, "but there");
        vm.assertEq(who(validators[4]).stake, STAKE, "no version, no slash");
    }

    function test_aWrongAttestation_costsStake() public {
        fillWindow();
        scoreAll();
        tally();
        attestAs(validators[4], keccak256("poisoned"));
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], nextModelOf(1));
        vm.assertEq(federation.modelDigest(1), nextModelOf(1));
        vm.assertEq(who(validators[4]).stake, STAKE - SLASH);
        vm.assertEq(who(validators[4]).credit, 0);
    }

    function nextModelOf(uint256 version) private pure returns (bytes32) {
        return keccak256(abi.encode("model", version));
    }

    function test_aSlowAttestation_isPaidLikeTheFirst() public {
        fillWindow();
        scoreAll();
        tally();
        bytes32 digest = nextModel();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], digest);
        vm.assertEq(federation.head().version, 1, "final without it");
        vm.warp(judged().deadline); // the last second
        attestAs(validators[4], digest);
        vm.assertEq(who(validators[4]).credit, who(validators[0]).credit);
        vm.assertGt(who(validators[4]).credit, 0);
    }

    function test_stakeInTheMiddleOfAWindow_gainsNoWeight() public {
        fillWindow();
        uint256 weight = federation.weightOf(0);
        vm.deal(validators[0], 1_000 ether);
        vm.prank(validators[0]);
        federation.topUp{value: 1_000 ether}(1_000 ether);
        address late = joinValidator(1_000 ether);
        vm.assertEq(federation.weightOf(0), weight, "topped up");
        vm.assertEq(federation.weightOf(5), 0, "joined");
        IFederation.Window memory w = judged();
        refuses(
            late,
            abi.encodeCall(IFederation.commitScores, (w.id, bytes32("c"), w.tag)),
            abi.encodeWithSelector(IFederation.NotActiveValidator.selector, late)
        );
        judge();
        fillWindow();
        vm.assertGt(federation.weightOf(0), 1_000 * federation.weightOf(1), "from the next");
        vm.assertGt(federation.weightOf(5), 1_000 * federation.weightOf(1), "from the next");
    }

    function test_aRushOfVersions_earnsNothing() public {
        runWindow();
        uint256 credits = federation.head().credits;
        vm.assertGt(credits, 0);
        for (uint256 i = 0; i < 5; ++i) runWindow(); // in the same second
        vm.assertEq(federation.head().version, 6);
        vm.assertEq(federation.head().credits, credits);
    }
}
