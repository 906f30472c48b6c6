// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";
import {Vm} from "./Vm.sol";

contract SettleTest is Setup {
    bytes32 private constant MODEL = keccak256("model");
    bytes32 private constant OTHER = keccak256("other");
    int256 private constant NO_AGREEMENT = type(int32).min;
    uint256 private constant UNIT = STAKE / 1e6; // of credits
    uint256 private constant SLASH = STAKE / 50;

    /// What settlement starts from, and what it says it did.
    struct Case {
        IFederation.Head head;
        uint32 active;
        uint8[6] deeds;
        uint256[6] stakes;
        uint256[6] weights;
        uint256[6] reputations;
        uint256[4] trainersReputations;
        uint256 reward;
        // As tallied.
        uint256[] shares;
        bytes32 verdicts;
        int256[] agreement; // by seat
        uint32 overruled;
        // As settled.
        bool isFinal;
        uint256[] trainers;
        bytes trainerReputations;
        uint256[] validators;
        bytes validatorReputations;
    }

    function setUp() public {
        deployRunning(usual(), 5);
    }

    // ----- Slow references -----

    function _toward(uint256 here, uint256 target, uint256 percent) private pure returns (uint256) {
        if (target > here) return here + ((target - here) * percent) / 100;
        return here - ((here - target) * percent) / 100;
    }

    /// (1 + agreement) / 2, without a sign.
    function _targetOf(int256 agreement) private pure returns (uint256) {
        return uint256(1_000_000 + agreement) / 2;
    }

    function _units(uint256 amount) private pure returns (uint256) {
        return (amount / UNIT) * UNIT;
    }

    function _tally(Case memory c) private {
        uint32 revealed = judged().revealed;
        vm.recordLogs();
        tally();
        bytes memory data = dataOf(vm.getRecordedLogs(), IFederation.WindowTallied.selector);
        int256[] memory agreement;
        bytes memory shares;
        (, , c.verdicts, shares, agreement, c.overruled) = abi.decode(
            data,
            (uint8, bytes32, bytes32, bytes, int256[], uint32)
        );
        c.shares = numbersOf(shares);
        c.agreement = new int256[](32);
        uint256 k;
        for (uint256 seat = 0; seat < 32; ++seat) {
            if ((revealed >> seat) & 1 != 0) c.agreement[seat] = agreement[k++];
        }
    }

    function _readSettled(Case memory c) private {
        bytes memory data = dataOf(vm.getRecordedLogs(), IFederation.WindowSettled.selector);
        (c.isFinal, c.trainers, c.trainerReputations, c.validators, c.validatorReputations) = abi
            .decode(data, (bool, uint256[], bytes, uint256[], bytes));
    }

    function _reputationOf(uint256 validator) private view returns (uint256) {
        return federation.participant(validators[validator]).validatorReputation;
    }

    // ----- All at once -----

    /// Six validators score at random; two of them each do one of: all, no commitment, no reveal, no
    /// attestation, another attestation. Three windows; standing, pay and slashes as written out here.
    function testFuzz_settle_paysMovesReputationAndSlashes(
        uint16[72] memory seeds,
        uint8[6] memory deeds,
        uint96 pool,
        uint32 elapsed
    ) public {
        IFederation.Parameters memory p = usual();
        p.minValidators = 1;
        deployRunning(p, 0);
        for (uint256 v = 0; v < 6; ++v) joinValidator(v < 4 ? 10 * STAKE : STAKE);
        fund(bound(uint256(pool), 0, 10_000 ether));
        for (uint256 w = 0; w < 3; ++w) {
            for (uint256 v = 0; v < 6; ++v) {
                int16[] memory scores = new int16[](4);
                for (uint256 i = 0; i < 4; ++i) {
                    uint256 seed = seeds[24 * w + 4 * v + i];
                    scores[i] = seed % 16 == 0 ? UNAVAILABLE : int16(int256(seed % 2001) - 1000);
                }
                scores[0] = int16(int256(uint256(seeds[24 * w + 4 * v]) % 1001)); // not barren
                willScore(validators[v], scores);
            }
            jump(elapsed);
            _checkWindow(deeds[2 * w] % 5, deeds[2 * w + 1] % 5);
        }
    }

    function _checkWindow(uint8 deed4, uint8 deed5) private {
        Case memory c;
        c.head = federation.head();
        c.deeds = [0, 0, 0, 0, deed4, deed5];
        fillWindow();
        c.active = judged().active;
        _read(c);
        _score(c);
        _tally(c);
        c.reward = uint256(c.head.pool) / 100;
        uint256 byTime = 0.001 ether * uint256(judged().sealedAt - c.head.lastFinalSealedAt);
        if (byTime < c.reward) c.reward = byTime;
        vm.recordLogs();
        for (uint256 v = 0; v < 6; ++v) {
            if (!_acts(c, v) || c.deeds[v] == 3) continue;
            attestAs(validators[v], c.deeds[v] == 4 ? OTHER : nextOf(c.head.version));
        }
        if (federation.head().judgingWindow == c.head.judgingWindow) settle();
        _readSettled(c);
        vm.assertTrue(c.isFinal);

        uint256 credited = _checkValidators(c) + _checkTrainers(c);
        vm.assertEq(federation.head().pool, c.head.pool - credited);
        vm.assertEq(federation.head().credits, c.head.credits + credited);
        checkMoney();
        jump(1 days + 1); // nobody stays in jail
    }

    function _read(Case memory c) private view {
        for (uint8 v = 0; v < 6; ++v) {
            c.reputations[v] = _reputationOf(v);
            c.stakes[v] = federation.participant(validators[v]).stake;
            c.weights[v] = federation.weightOf(v);
        }
        for (uint256 i = 0; i < 4; ++i) {
            c.trainersReputations[i] = federation.participant(trainers[i]).trainerReputation;
        }
    }

    function _acts(Case memory c, uint256 v) private pure returns (bool) {
        return (c.active >> v) & 1 != 0;
    }

    function _score(Case memory c) private {
        for (uint256 v = 0; v < 6; ++v) if (_acts(c, v) && c.deeds[v] != 1) commitAs(validators[v]);
        if (uint8(judged().phase) == uint8(IFederation.Phase.Commit)) passDeadline();
        for (uint256 v = 0; v < 6; ++v) {
            if (_acts(c, v) && c.deeds[v] != 1 && c.deeds[v] != 2) revealAs(validators[v]);
        }
        if (uint8(judged().phase) == uint8(IFederation.Phase.Reveal)) passDeadline();
    }

    function _checkValidators(Case memory c) private view returns (uint256 credited) {
        uint256 total;
        uint256 k;
        for (uint256 v = 0; v < 6; ++v) total += c.weights[v];
        for (uint256 v = 0; v < 6; ++v) {
            if (!_acts(c, v)) continue;
            uint256 reputation = c.reputations[v];
            uint256 part = 500_000;
            if (c.deeds[v] != 0 || (c.overruled >> v) & 1 != 0) {
                reputation = _toward(reputation, 0, 10);
                part = 0;
            } else if (c.agreement[v] != NO_AGREEMENT) {
                reputation = _toward(reputation, _targetOf(c.agreement[v]), 5);
                part = c.agreement[v] < 0 ? 0 : uint256(c.agreement[v]);
            }
            uint256 pay = _units((c.reward * 30 * c.weights[v] * part) / (100 * 1e6 * total));
            vm.assertEq(c.validators[k], pay, "validator's pay");
            vm.assertEq(
                numberAt(c.validatorReputations, k++),
                reputation,
                "validator's reputation"
            );
            vm.assertEq(_reputationOf(v), reputation);
            uint256 slash = c.deeds[v] == 2 || c.deeds[v] == 4 ? SLASH : 0;
            vm.assertEq(federation.participant(validators[v]).stake, c.stakes[v] - slash, "stake");
            credited += pay;
        }
    }

    function _checkTrainers(Case memory c) private view returns (uint256 credited) {
        for (uint256 i = 0; i < 4; ++i) {
            bool isPaid = uint256(scoreAt(c.verdicts, i)) == uint256(IFederation.Verdict.Paid);
            uint256 pay = isPaid ? _units((c.reward * 70 * c.shares[i]) / (100 * 1e6)) : 0;
            vm.assertEq(c.trainers[i], pay, "trainer's pay");
            credited += pay;
            uint256 reputation = c.trainersReputations[i];
            if (isPaid) reputation = _toward(reputation, 1e6, 5);
            if (uint256(scoreAt(c.verdicts, i)) == uint256(IFederation.Verdict.Rejected)) {
                reputation = _toward(reputation, 0, 20);
                if (federation.participant(trainers[i]).trainerJailedUntil != 0) reputation = START;
            }
            vm.assertEq(numberAt(c.trainerReputations, i), reputation, "trainer's reputation");
            vm.assertEq(federation.participant(trainers[i]).trainerReputation, reputation);
        }
    }

    function nextOf(uint32 version) private pure returns (bytes32) {
        return keccak256(abi.encode("model", version + 1));
    }

    /// Every lane of every word: 32 validators and 16 updates, some of them apart from the rest.
    function test_settle_knowsEachSeatAndUpdate() public {
        IFederation.Parameters memory p = usual();
        p.windowSize = 16;
        deployRunning(p, 32);
        fillWindow();
        int16[] memory scores = new int16[](16);
        for (uint256 i = 0; i < 16; ++i) scores[i] = i % 3 == 0 ? int16(-2000) : int16(uint16(i));
        allWillScore(scores);
        int16[] memory reversed = new int16[](16);
        for (uint256 i = 0; i < 16; ++i) reversed[i] = -scores[i];
        for (uint256 v = 5; v < 32; v += 8) willScore(validators[v], reversed);
        commitAll();
        for (uint256 v = 0; v < 32; ++v) if (v % 8 != 6) revealAs(validators[v]);
        passDeadline();
        tally();
        for (uint256 v = 0; v < 32; ++v) if (v % 8 != 7) attestAs(validators[v], MODEL);
        settle();

        vm.assertEq(federation.modelDigest(1), MODEL);
        for (uint256 v = 0; v < 32; ++v) {
            uint256 expected = _toward(START, 1e6, 5);
            if (v % 8 == 5) expected = _toward(START, 0, 5);
            if (v % 8 > 5) expected = _toward(START, 0, 10);
            vm.assertEq(_reputationOf(v), expected);
            IFederation.Participant memory who = federation.participant(validators[v]);
            vm.assertEq(who.stake, v % 8 == 6 ? STAKE - SLASH : STAKE);
            vm.assertEq(who.missed, v % 8 > 5 ? 1 : 0);
        }
        uint256 shares;
        for (uint256 i = 0; i < 16; ++i) {
            IFederation.Update memory u = federation.update(16 + i);
            bool isRejected = i % 3 == 0;
            IFederation.Verdict verdict =
                isRejected ? IFederation.Verdict.Rejected : IFederation.Verdict.Paid;
            vm.assertEq(uint8(u.verdict), uint8(verdict));
            shares += u.share;
            uint256 expected = isRejected ? _toward(START, 0, 20) : _toward(START, 1e6, 5);
            vm.assertEq(federation.participant(trainers[i]).trainerReputation, expected);
            vm.assertEq(federation.participant(trainers[i]).rejections, isRejected ? 1 : 0);
        }
        vm.assertLe(shares, 1e6);
        vm.assertGt(shares, 1e6 - 16);
    }

    // ----- When -----

    function test_settle_waitsForTheDeadlineUnlessAllAttested() public {
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        uint256 deadline = judged().deadline;
        vm.warp(deadline);
        bytes memory call = abi.encodeCall(IFederation.settle, (1));
        bytes4 early = IFederation.TooEarly.selector;
        refuses(address(this), call, abi.encodeWithSelector(early, deadline + 1));
        vm.warp(deadline + 30 minutes + 1);
        bytes4 late = IFederation.TooLate.selector;
        refuses(address(this), call, abi.encodeWithSelector(late, deadline + 30 minutes));
        vm.warp(deadline + 30 minutes);
        federation.settle(1);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Final));
    }

    function test_settle_waitsForTheTally() public {
        bytes memory call = abi.encodeCall(IFederation.settle, (1));
        bytes4 refusal = IFederation.NotJudgedNow.selector;
        refuses(address(this), call, abi.encodeWithSelector(refusal, 1, 0));
        fillWindow();
        scoreAll();
        bytes memory given = abi.encodeWithSelector(
            IFederation.WrongPhase.selector,
            1,
            IFederation.Phase.Tally,
            IFederation.Phase.Attest
        );
        refuses(address(this), call, given);
    }

    // ----- Money -----

    function test_settle_paysNoMoreThanAHundredthOfThePool() public {
        fund(1 ether);
        jump(365 days);
        runWindow();
        IFederation.Head memory h = federation.head();
        vm.assertEq(uint256(h.pool) + h.credits, 1 ether);
        vm.assertLe(h.credits, 0.01 ether);
        vm.assertGt(h.credits, 0.0099 ether, "all were paid, and all validators agree");
    }

    function test_settle_paysByTheTimeBetweenSealings() public {
        fund(1000 ether);
        jump(100);
        runWindow();
        uint256 sealedAt = time();
        uint256 first = federation.head().credits;
        vm.assertLe(first, 0.1 ether);
        vm.assertGt(first, 0.099 ether);
        vm.assertEq(federation.head().lastFinalSealedAt, sealedAt);
        runWindow();
        vm.assertEq(federation.head().credits, first, "no time, no pay");
    }

    function test_settle_paysNobodyForAVoidWindow() public {
        fund(1 ether);
        jump(1 days);
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], MODEL);
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, IFederation.VoidReason.NoQuorum);
        federation.settle(1);
        vm.assertEq(federation.head().credits, 0);
        vm.assertEq(federation.head().pool, 1 ether);
        vm.assertEq(federation.head().version, 0);
        // Verdicts count all the same: paid is a verdict.
        vm.assertEq(federation.participant(trainers[0]).trainerReputation, 335_000);
    }

    function test_settle_paysHalfWhereThereIsNoAgreementToMeasure() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        fund(1 ether);
        jump(1 days);
        runWindow();
        // 1/100 of it, 30 % of that, half of a quarter.
        uint256 pay = ((uint256(1 ether) / 100) * 30) / 100 / 8;
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(federation.participant(validators[i]).credit, _units(pay));
            vm.assertEq(_reputationOf(i), START, "nor is it moved");
        }
        uint256 all = ((uint256(1 ether) / 100) * 70) / 100;
        vm.assertEq(federation.participant(trainers[0]).credit, _units(all));
    }

    function test_settle_creditsNoMoreThanALaneHolds() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        uint256 most = (2 ** 36 - 1) * UNIT;
        fund(100 * most);
        for (uint256 k = 0; k < 2; ++k) {
            jump(365 days);
            runWindow();
            vm.assertEq(
                federation.participant(trainers[0]).credit,
                k == 0 ? _units((most * 70) / 100) : most
            );
        }
    }

    // ----- Who agrees -----

    /// Seat 8 is alone in its word. Constant scores have no agreement with scores that vary: 0.
    function test_settle_doesNotUseTheLastWindowsAgreement() public {
        deployRunning(usual(), 9);
        runWindow();
        vm.assertEq(_reputationOf(8), _toward(START, 1e6, 5));
        uint256 before = _reputationOf(8);
        willScore(validators[8], list(10, 10, 10, 10));
        runWindow();
        vm.assertEq(_reputationOf(8), _toward(before, 500_000, 5));
    }

    function test_settle_lowersWhoDisagrees() public {
        willScore(validators[4], list(10, 20, 30, 40));
        fund(1 ether);
        jump(1 days);
        runWindow();
        vm.assertEq(_reputationOf(4), _toward(START, 0, 5));
        vm.assertEq(federation.participant(validators[4]).credit, 0);
        vm.assertEq(federation.participant(validators[4]).stake, STAKE, "costs pay, never stake");
    }

    function test_settle_takesTheOverruledsPayAndReputationAlone() public {
        willScore(validators[4], list(UNAVAILABLE, 300, 200, 100));
        runWindow();
        vm.assertEq(_reputationOf(4), 270_000);
        vm.assertEq(federation.participant(validators[4]).credit, 0);
        vm.assertEq(federation.participant(validators[4]).missed, 0);
        vm.assertEq(federation.participant(validators[4]).stake, STAKE);
    }

    function test_settle_putsToSleepWhoMissesTwice() public {
        _judgeWithoutTheLast();
        vm.assertEq(federation.participant(validators[4]).missed, 1);
        fillWindow();
        _scoreWithoutTheLast();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], nextModel());
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.FellAsleep(validators[4], 2);
        federation.settle(2);
        vm.assertTrue(federation.participant(validators[4]).asleep);
    }

    function test_settle_saysThatASleeperJudgedAgain() public {
        deployRunning(usual(), 5);
        for (uint256 i = 0; i < 2; ++i) _judgeWithoutTheLast();
        vm.assertTrue(federation.participant(validators[4]).asleep);
        vm.prank(validators[3]);
        federation.requestExit();
        fillWindow();
        vm.assertEq(judged().active, 23, "too few are awake: the sleeper is asked");
        for (uint256 i = 0; i < 5; ++i) if (i != 3) commitAs(validators[i]);
        for (uint256 i = 0; i < 5; ++i) if (i != 3) revealAs(validators[i]);
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], nextModel());
        (uint32 window, uint64 tag) = (judged().id, judged().tag);
        vm.expectEmit(address(federation));
        emit IFederation.Woke(validators[4]);
        vm.prank(validators[4]);
        federation.attestModel(window, tag, nextOf(2), 0);
        vm.assertFalse(federation.participant(validators[4]).asleep);
    }

    function _scoreWithoutTheLast() private {
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        passDeadline();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        tally();
    }

    function _judgeWithoutTheLast() private {
        fillWindow();
        _scoreWithoutTheLast();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], nextModel());
        passDeadline();
        federation.settle(federation.head().judgingWindow);
    }

    // ----- Faults -----

    function test_settle_namesTheFaultOfOneWhoCommittedToNothing() public {
        fillWindow();
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        passDeadline();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        uint64 tag = judged().tag;
        vm.expectEmit(address(federation));
        emit IFederation.Slashed(validators[4], 1, IFederation.Fault.WrongAttestation, SLASH);
        vm.prank(validators[4]);
        federation.attestModel(1, tag, OTHER, 0);
    }

    function test_settle_slashesAnotherAttestationThanTheFinal() public {
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        uint64 tag = judged().tag;
        vm.expectEmit(address(federation));
        emit IFederation.Slashed(validators[4], 1, IFederation.Fault.WrongAttestation, SLASH);
        vm.prank(validators[4]);
        federation.attestModel(1, tag, OTHER, 0);
        vm.assertEq(federation.participant(validators[4]).stake, STAKE - SLASH);
        vm.assertEq(federation.head().slashed, SLASH);
        vm.assertEq(_reputationOf(4), 270_000);
        checkMoney();
    }

    /// Three of five agree: more than a half, less than two thirds.
    function test_settle_takesReputationForAnAttestationAgainstAMajority() public {
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], MODEL);
        for (uint256 i = 3; i < 5; ++i) attestAs(validators[i], OTHER);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().slashed, 0);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(_reputationOf(i) == 270_000, i >= 3);
            vm.assertEq(federation.participant(validators[i]).missed, 0, "it was there");
        }
    }

    function test_settle_blamesNobodyWithoutAMajority() public {
        deployRunning(usual(), 4);
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], i < 2 ? MODEL : OTHER);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(federation.participant(validators[i]).missed, 0);
        }
    }

    function test_settle_slashesTheAuthorOfTheMalformed() public {
        allWillScore(list(40, 30, MALFORMED, 10));
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        uint64 tag = judged().tag;
        vm.expectEmit(address(federation));
        emit IFederation.Slashed(trainers[2], 1, IFederation.Fault.MalformedUpdate, SLASH);
        vm.prank(validators[4]);
        federation.attestModel(1, tag, MODEL, 0);
        vm.assertEq(federation.participant(trainers[2]).stake, STAKE - SLASH);
        vm.assertEq(federation.participant(trainers[2]).trainerReputation, 240_000);
        vm.assertEq(federation.participant(trainers[2]).rejections, 1);
    }

    /// The same account writes malformed updates and does not reveal.
    function test_settle_slashesOnceAWindow() public {
        deploy(usual());
        joinTrainers(4);
        joinValidators(5);
        address both = address(0xB07);
        joinAs(both, TRAINER | VALIDATOR, STAKE);
        validators.push(both);
        submitAs(both);
        fillWindow();
        allWillScore(list(MALFORMED, 30, 20, 10));
        commitAll();
        for (uint256 i = 0; i < 5; ++i) revealAs(validators[i]);
        passDeadline();
        vm.recordLogs();
        tally();
        attestAll(MODEL);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IFederation.Slashed.selector), 1);
        vm.assertEq(uint256(federation.update(16).verdict), uint256(IFederation.Verdict.Malformed));
        vm.assertEq(federation.participant(both).stake, STAKE - SLASH);
        vm.assertEq(federation.participant(both).rejections, 1);
    }

    /// A short stake submits no more, but what was submitted before is judged all the same.
    function test_settle_slashesAShortStakeAgain() public {
        deploy(tiny());
        joinTrainers(3);
        joinValidators(4);
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        judge();
        submitAs(trainers[1]);
        allWillScore(MALFORMED);
        for (uint256 k = 1; k <= 2; ++k) {
            scoreAll();
            address[] memory authors = authorsOf(k + 1);
            address[] memory who = revealers();
            vm.expectEmit(address(federation));
            emit IFederation.Slashed(trainers[1], k + 1, IFederation.Fault.MalformedUpdate, SLASH);
            federation.tally(uint32(k + 1), authors, who);
            vm.assertEq(federation.participant(trainers[1]).stake, STAKE - k * SLASH);
            vm.assertEq(federation.head().slashed, k * SLASH);
        }
        checkMoney();
    }

    function test_settle_slashesNothingWhereItIsNothing() public {
        IFederation.Parameters memory p = usual();
        p.slashPpm = 0;
        deployRunning(p, 5);
        allWillScore(list(40, 30, MALFORMED, 10));
        runWindow();
        vm.assertEq(federation.participant(trainers[2]).stake, STAKE);
        vm.assertEq(federation.head().slashed, 0);
        submitAs(trainers[2]);
    }

    // ----- Jail -----

    function test_settle_jailsATrainerAtThreeRejectionsOfEight() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        uint256 reputation = START;
        for (uint256 k = 0; k < 9; ++k) {
            // Rejected in the first, fifth and eighth window of eight.
            bool isRejected = k == 1 || k == 5 || k == 8;
            allWillScore(isRejected ? -2000 : int16(100));
            submitAs(trainers[0]);
            if (k == 8) {
                scoreAll();
                address[] memory who = revealers();
                vm.expectEmit(address(federation));
                emit IFederation.Jailed(trainers[0], TRAINER, time() + 1 days);
                federation.tally(9, authorsOf(9), who);
                break;
            }
            scoreAll();
            tally();
            if (!isRejected) attestAll(nextModel());
            reputation = isRejected ? _toward(reputation, 0, 20) : _toward(reputation, 1e6, 5);
            vm.assertEq(federation.participant(trainers[0]).trainerReputation, reputation);
        }
        IFederation.Participant memory p = federation.participant(trainers[0]);
        vm.assertEq(p.trainerReputation, START);
        vm.assertEq(p.rejections, 0, "it begins anew");
        vm.assertEq(p.trainerJailedUntil, time() + 1 days);
        vm.assertEq(p.validatorJailedUntil, 0);
        jump(1 days + 1);
        submitAs(trainers[0]);
    }

    function test_settle_forgetsRejectionsAfterEightVerdicts() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        for (uint256 k = 0; k < 9; ++k) {
            bool isRejected = k == 0 || k == 1 || k == 8;
            allWillScore(isRejected ? -2000 : int16(100));
            submitAs(trainers[0]);
            scoreAll();
            tally();
            if (!isRejected) attestAll(nextModel());
        }
        vm.assertEq(federation.participant(trainers[0]).rejections, 2);
        vm.assertEq(federation.participant(trainers[0]).trainerJailedUntil, 0);
    }

    function test_settle_takesNothingFromTheAcceptedUnpaid() public {
        allWillScore(list(40, 30, 0, 10));
        fund(1 ether);
        jump(1 days);
        runWindow();
        IFederation.Participant memory p = federation.participant(trainers[2]);
        vm.assertEq(p.trainerReputation, START);
        vm.assertEq(p.rejections, 0);
        vm.assertEq(p.credit, 0);
    }

    /// @dev Seven windows in which one of the first five does not attest, awake each time: 0.3 x 0.9^7 < 0.15. Who
    /// comes after the five attests nothing either, and sleeps.
    function _missSevenTimes(uint256 absent) private returns (uint256 reputation) {
        reputation = START;
        for (uint256 k = 0; k < 7; ++k) {
            fillWindow();
            scoreAll();
            tally();
            for (uint256 i = 0; i < 5; ++i)
                if (i != absent) attestAs(validators[i], nextOf(uint32(k)));
            passDeadline();
            if (k == 6) vm.recordLogs();
            federation.settle(federation.head().judgingWindow);
            reputation = _toward(reputation, 0, 10);
            if (federation.participant(validators[absent]).asleep) {
                vm.prank(validators[absent]);
                federation.wake();
            }
        }
        vm.assertLt(reputation, 150_000);
    }

    function test_settle_jailsAValidatorBelowTheLine() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(5);
        _missSevenTimes(4);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (uint8 role, uint256 until) = abi.decode(
            dataOf(logs, IFederation.Jailed.selector),
            (uint8, uint256)
        );
        vm.assertEq(role, VALIDATOR);
        vm.assertEq(until, time() + 1 days);
        IFederation.Participant memory p = federation.participant(validators[4]);
        vm.assertEq(p.validatorJailedUntil, until);
        vm.assertEq(p.validatorReputation, START);
        vm.assertEq(p.seat, 4);
        vm.assertEq(p.missed, 0);
        vm.warp(until);
        fillWindow();
        vm.assertEq(judged().active, 15, "to the last second");
        vm.assertEq(federation.participant(validators[4]).validatorJailedUntil, until);
        vm.warp(until + 1);
        vm.assertEq(federation.participant(validators[4]).validatorJailedUntil, 0);
        judge();
        fillWindow();
        vm.assertEq(judged().active, 31, "then it is back");
    }

    function test_settle_jailsNobodyWhoIsNeeded() public {
        IFederation.Parameters memory p = tiny();
        p.minValidators = 5;
        deploy(p);
        joinTrainers(2);
        joinValidators(5);
        uint256 reputation = _missSevenTimes(4);
        vm.assertEq(countOf(vm.getRecordedLogs(), IFederation.Jailed.selector), 0);
        vm.assertEq(_reputationOf(4), reputation);
        vm.assertEq(federation.participant(validators[4]).validatorJailedUntil, 0);
        fillWindow();
        vm.assertEq(judged().active, 31);
    }

    function test_settle_jailsOnTheFirstSeatToo() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(5);
        _missSevenTimes(0);
        vm.assertGt(federation.participant(validators[0]).validatorJailedUntil, 0);
    }

    function test_settle_countsNoSleeperAmongThoseWhoRemain() public {
        IFederation.Parameters memory p = tiny();
        p.minValidators = 5;
        deploy(p);
        joinTrainers(2);
        joinValidators(6);
        _missSevenTimes(4);
        vm.assertTrue(federation.participant(validators[5]).asleep);
        vm.assertEq(federation.participant(validators[4]).validatorJailedUntil, 0);
    }

    function test_settle_stopsNobodyWhoseStakeIsStillTheMinimum() public {
        deploy(usual());
        joinTrainers(4);
        joinValidators(5);
        address rich = address(0xB07);
        joinAs(rich, TRAINER, STAKE + SLASH);
        submitAs(rich);
        allWillScore(list(MALFORMED, 30, 20, 10));
        runWindow();
        vm.assertEq(federation.participant(rich).stake, STAKE);
        submitAs(rich);
        vm.assertEq(federation.window(2).updates, 1);
    }

    function test_settle_slashesNothingWhereNothingIsSlashed() public {
        IFederation.Parameters memory p = usual();
        p.slashPpm = 0;
        deployRunning(p, 5);
        allWillScore(list(MALFORMED, 30, 20, 10));
        fillWindow();
        scoreAll();
        vm.recordLogs();
        tally();
        attestAll(MODEL);
        vm.assertEq(uint256(federation.update(16).verdict), uint256(IFederation.Verdict.Malformed));
        vm.assertEq(countOf(vm.getRecordedLogs(), IFederation.Slashed.selector), 0);
    }
}
