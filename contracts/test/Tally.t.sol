// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Tally} from "../libraries/Tally.sol";
import {Setup} from "./Setup.sol";

/// The step of a window's life; the arithmetic is tested in libraries/Tally.t.sol.
contract FederationTallyTest is Setup {
    struct Tallied {
        uint8 keep;
        int256[] consensus;
        uint256[] verdicts;
        uint256[] shares;
        int256[] agreement;
        uint32 overruled;
    }

    uint256 private constant REJECTED = uint256(IFederation.Verdict.Rejected);
    uint256 private constant MALFORMED_VERDICT = uint256(IFederation.Verdict.Malformed);
    uint256 private constant ACCEPTED = uint256(IFederation.Verdict.Accepted);
    uint256 private constant PAID = uint256(IFederation.Verdict.Paid);

    function setUp() public {
        deployRunning(usual(), 5);
    }

    // ----- Hands -----

    function _tally() private returns (Tallied memory t) {
        vm.recordLogs();
        tally();
        bytes memory data = dataOf(vm.getRecordedLogs(), IFederation.WindowTallied.selector);
        bytes32 consensus;
        bytes32 verdicts;
        bytes memory shares;
        (t.keep, consensus, verdicts, shares, t.agreement, t.overruled) = abi.decode(
            data,
            (uint8, bytes32, bytes32, bytes, int256[], uint32)
        );
        t.shares = numbersOf(shares);
        t.consensus = new int256[](t.shares.length);
        t.verdicts = new uint256[](t.shares.length);
        for (uint256 i = 0; i < t.shares.length; ++i) {
            t.consensus[i] = scoreAt(consensus, i);
            t.verdicts[i] = uint256(scoreAt(verdicts, i));
        }
    }

    function _call(address[] memory authors) private view returns (bytes memory) {
        return
            abi.encodeCall(
                IFederation.tally,
                (federation.head().judgingWindow, authors, revealers())
            );
    }

    function _verdicts(uint256 a, uint256 b, uint256 c, uint256 d) private view {
        uint256 first = uint256(federation.head().judgingWindow) * 16;
        vm.assertEq(uint256(federation.update(first).verdict), a);
        vm.assertEq(uint256(federation.update(first + 1).verdict), b);
        vm.assertEq(uint256(federation.update(first + 2).verdict), c);
        vm.assertEq(uint256(federation.update(first + 3).verdict), d);
    }

    function _wrongPhase(IFederation.Phase current) private pure returns (bytes memory) {
        IFederation.Phase needed = IFederation.Phase.Tally;
        return abi.encodeWithSelector(IFederation.WrongPhase.selector, 1, current, needed);
    }

    // ----- What it decides -----

    /// Whatever is revealed, by whatever stakes: what the library makes of it, in event and views.
    /// The last validator is an author too; the second update is one version older than the others.
    function testFuzz_tally_decidesByAllThatWasRevealed(
        uint16[20] memory seeds,
        uint8[5] memory keeps,
        uint96[5] memory stakes
    ) public {
        IFederation.Parameters memory p = usual();
        p.trustSamples = true;
        p.minUpdates = 1;
        deploy(p);
        joinTrainers(6);
        for (uint256 v = 0; v < 4; ++v) joinValidator(bound(stakes[v], STAKE, 10 ether));
        address both = address(0xB07);
        joinAs(both, TRAINER | VALIDATOR, bound(stakes[4], STAKE, 10 ether));
        validators.push(both);

        fillWindow();
        submitAs(trainers[4], 0, newDigest(), RAW, 1000);
        judge();
        submitAs(trainers[0], 1, newDigest(), RAW, 10);
        submitAs(both, 1, newDigest(), RAW, 10);
        fillWindowFrom(1);

        for (uint256 v = 0; v < 5; ++v) {
            int16[] memory scores = new int16[](4);
            for (uint256 i = 0; i < 4; ++i) {
                uint256 seed = seeds[4 * v + i];
                if (seed % 8 == 0) scores[i] = seed % 16 == 0 ? UNAVAILABLE : MALFORMED;
                else scores[i] = int16(int256(seed % 2001) - 1000);
            }
            willScore(validators[v], scores);
            willKeep(validators[v], uint8(bound(uint256(keeps[v]), 0, 4)));
        }
        scoreAll();
        Tally.Input memory input = _input(both);
        Tally.Output memory expected = Tally.tally(input);
        Tallied memory given = _tally();
        vm.assertEq(given.keep, expected.keep);
        vm.assertEq(given.consensus, expected.consensus);
        vm.assertEq(given.verdicts, expected.verdicts);
        vm.assertEq(given.shares, expected.shares);
        vm.assertEq(given.overruled, expected.overruled);
        for (uint256 v = 0; v < 5; ++v) {
            int256 none = type(int256).min;
            int256 ppm =
                expected.agreement[v] == none ? int256(type(int32).min) : expected.agreement[v];
            vm.assertEq(given.agreement[v], ppm);
        }
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(uint256(federation.update(32 + i).verdict), expected.verdicts[i]);
            vm.assertEq(federation.update(32 + i).share, expected.shares[i]);
        }
    }

    /// @dev Window 2 of the test above: trainer 4 (base 0), trainer 0, both, trainer 1.
    function _input(address both) private view returns (Tally.Input memory input) {
        input.scores = new uint256[](5);
        input.weights = new uint256[](5);
        input.keeps = new uint256[](5);
        input.seats = new uint256[](5);
        for (uint8 v = 0; v < 5; ++v) {
            input.scores[v] = uint256(bytes32(scoresOf(validators[v], 4)));
            input.keeps[v] = keepOf(validators[v], 4);
            input.weights[v] = federation.weightOf(v);
            input.activeWeight += federation.weightOf(v);
            input.seats[v] = v;
        }
        input.authorSeat = new uint256[](4);
        input.authorWeight = new uint256[](4);
        input.reputations = new uint256[](4);
        input.samples = new uint256[](4);
        input.staleness = new uint256[](4);
        for (uint256 i = 0; i < 4; ++i) {
            address author = authorsOf(2)[i];
            input.authorSeat[i] = author == both ? 4 : 255;
            input.authorWeight[i] = author == both ? federation.weightOf(4) : 0;
            input.reputations[i] = federation.participant(author).trainerReputation;
            input.samples[i] =
                i == 0
                    ? 1000
                    : i == 3
                        ? 100
                        : 10;
            input.staleness[i] = i == 0 ? 1 : 0;
        }
        input.trustSamples = true;
        input.rejectBelow = -600;
    }

    function test_tally_acceptsFromTheFloorAndPaysAboveZero() public {
        fillWindow();
        allWillScore(list(-601, -600, 0, 1));
        scoreAll();
        Tallied memory t = _tally();
        _verdicts(REJECTED, ACCEPTED, ACCEPTED, PAID);
        vm.assertEq(t.shares[0], 0);
        vm.assertGt(t.shares[1], 0);
        vm.assertLt(t.shares[1], t.shares[3]);
        vm.assertEq(t.consensus[1], -600);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Attest));
        vm.assertEq(judged().deadline, time() + 30 minutes);
    }

    function test_tally_keepsTheMedianOfTheVotes() public {
        fillWindow();
        allWillScore(list(50, 100, 100, 100));
        for (uint8 v = 0; v < 5; ++v) willKeep(validators[v], v); // 0 to 4
        scoreAll();
        vm.assertEq(_tally().keep, 2);
        _verdicts(REJECTED, PAID, PAID, REJECTED);
    }

    function test_tally_takesTheWeightedMedian() public {
        deploy(usual());
        joinTrainers(5);
        joinValidators(3);
        joinValidator(4 * STAKE);
        fillWindow();
        allWillScore(list(100, 100, 100, 100));
        willScore(validators[3], list(-7000, 10, 20, 30));
        scoreAll();
        vm.assertEq(_tally().consensus[0], -7000);
        _verdicts(REJECTED, PAID, PAID, PAID);
    }

    function test_tally_overrulesACodeAgainstAMajorityOfScores() public {
        fillWindow();
        allWillScore(list(40, 30, 20, 10));
        willScore(validators[1], list(40, UNAVAILABLE, 20, 10));
        willScore(validators[4], list(40, 30, 20, MALFORMED));
        scoreAll();
        Tallied memory t = _tally();
        vm.assertEq(t.overruled, 18);
        vm.assertEq(t.consensus[1], 30);
        _verdicts(PAID, PAID, PAID, PAID);
    }

    function test_tally_hasNoConsensusWhereHalfGiveCodes() public {
        deployRunning(usual(), 4);
        fillWindow();
        allWillScore(list(40, 30, 20, 10));
        for (uint256 v = 0; v < 2; ++v) willScore(validators[v], list(UNAVAILABLE, 30, 20, 10));
        scoreAll();
        Tallied memory t = _tally();
        vm.assertEq(t.consensus[0], -32_768);
        vm.assertEq(t.overruled, 0);
        _verdicts(REJECTED, PAID, PAID, PAID);
    }

    /// More than two thirds of the active weight, so 5 of 6 when 4 are exactly two thirds.
    function test_tally_callsMalformedWhatMoreThanTwoThirdsOfTheActiveDo() public {
        deployRunning(usual(), 6);
        fillWindow();
        allWillScore(list(40, MALFORMED, 20, MALFORMED));
        willScore(validators[0], list(40, UNAVAILABLE, 20, MALFORMED));
        willScore(validators[1], list(40, UNAVAILABLE, 20, UNAVAILABLE));
        scoreAll();
        Tallied memory t = _tally();
        vm.assertEq(t.consensus[1], -32_768);
        vm.assertEq(t.consensus[3], -32_767);
        _verdicts(PAID, REJECTED, PAID, MALFORMED_VERDICT);
    }

    function test_tally_leavesTheAuthorOutOfItsOwnUpdate() public {
        deploy(usual());
        joinTrainers(4);
        joinValidators(4);
        address both = address(0xB07);
        joinAs(both, TRAINER | VALIDATOR, 100 * STAKE);
        validators.push(both);
        submitAs(both);
        fillWindow();
        allWillScore(list(-900, 10, 20, 30));
        willScore(both, list(5000, 15, 25, 35));
        scoreAll();
        Tallied memory t = _tally();
        vm.assertEq(t.consensus[0], -900);
        vm.assertEq(t.consensus[1], 15);
    }

    function test_tally_halvesAShareOfThreeVersionsStaleness() public {
        deploy(tiny());
        joinTrainers(6);
        joinValidators(4);
        for (uint256 i = 0; i < 4; ++i) submitAs(trainers[i]);
        for (uint256 k = 0; k < 3; ++k) {
            scoreAll();
            Tallied memory t = _tally();
            // One update takes all, times (1 + staleness)^(-1/2).
            vm.assertEq(t.shares[0], [uint256(1_000_000), 707_106, 577_350][k]);
            attestAll(nextModel());
        }
        scoreAll();
        vm.assertEq(_tally().shares[0], 500_000);
    }

    function test_tally_knowsTheOlderOfTwoUpdates() public {
        deploy(tiny());
        joinTrainers(3);
        joinValidators(4);
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        judge();
        submitAs(trainers[1]);
        for (uint256 k = 0; k < 2; ++k) judge();
        vm.assertEq(federation.head().version, 3);
    }

    function test_tally_endsABarrenWindowAtOnce() public {
        joinTrainers(4);
        fillWindow();
        fillWindowFrom(4);
        allWillScore(list(-601, -700, UNAVAILABLE, -800));
        scoreAll();
        address[] memory who = revealers();
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, IFederation.VoidReason.Barren);
        federation.tally(1, authorsOf(1), who);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().version, 0);
        vm.assertEq(judged().id, 2);
        vm.assertEq(judged().active, 31);
        vm.assertEq(uint256(federation.update(16).verdict), REJECTED, "verdicts count");
        vm.assertEq(federation.participant(trainers[0]).rejections, 1);
        vm.assertEq(federation.participant(validators[0]).missed, 0, "nobody had to attest");
    }

    // ----- When -----

    function test_tally_needsTwoThirdsOfTheWeight() public {
        deployRunning(usual(), 6);
        fillWindow();
        commitAll();
        for (uint256 i = 0; i < 3; ++i) revealAs(validators[i]);
        passDeadline();
        uint256 weight = federation.weightOf(0);
        refuses(
            address(this),
            _call(authorsOf(1)),
            abi.encodeWithSelector(IFederation.TooFewReveals.selector, 3 * weight, 6 * weight)
        );
    }

    function test_tally_takesExactlyTwoThirdsOfTheWeight() public {
        deployRunning(usual(), 6);
        fillWindow();
        commitAll();
        for (uint256 i = 1; i < 5; ++i) revealAs(validators[i]);
        passDeadline();
        vm.assertEq(_tally().agreement.length, 4);
        _verdicts(PAID, PAID, PAID, PAID);
    }

    function test_tally_waitsForItsPhase() public {
        fillWindow();
        address[] memory authors = authorsOf(1);
        refuses(address(this), _call(authors), _wrongPhase(IFederation.Phase.Commit));
        commitAll();
        refuses(address(this), _call(authors), _wrongPhase(IFederation.Phase.Reveal));
        revealAll();
        tally();
        refuses(address(this), _call(authors), _wrongPhase(IFederation.Phase.Attest));
        bytes memory call = abi.encodeCall(IFederation.tally, (2, authors, revealers()));
        refuses(
            address(this),
            call,
            abi.encodeWithSelector(IFederation.NotJudgedNow.selector, 2, 1)
        );
    }

    function test_tally_comesOnTheLastSecondAndNoLater() public {
        fillWindow();
        scoreAll();
        uint256 deadline = judged().deadline;
        vm.assertEq(deadline, time() + 30 minutes);
        vm.warp(deadline + 1);
        bytes memory refusal = abi.encodeWithSelector(IFederation.TooLate.selector, deadline);
        refuses(address(this), _call(authorsOf(1)), refusal);
        vm.warp(deadline);
        tally();
        vm.assertEq(judged().deadline, deadline + 30 minutes);
    }

    // ----- Whose scores -----

    function _refusesValidators(address[] memory who, uint256 index, address wrong) private {
        bytes memory call = abi.encodeCall(IFederation.tally, (1, authorsOf(1), who));
        bytes4 refusal = IFederation.InvalidValidators.selector;
        refuses(address(this), call, abi.encodeWithSelector(refusal, index, wrong));
    }

    /// Each of those who revealed once, in the order of their seats, and nobody else.
    function test_tally_refusesOtherValidators() public {
        fillWindow();
        commitAll();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        passDeadline();
        address[] memory who = revealers();
        (who[1], who[2]) = (who[2], who[1]);
        _refusesValidators(who, 2, validators[1]);
        (who[1], who[2]) = (validators[1], validators[1]);
        _refusesValidators(who, 2, validators[1]);
        who[2] = trainers[0];
        _refusesValidators(who, 2, trainers[0]);
        (who[2], who[3]) = (validators[3], validators[4]); // committed, and did not reveal
        _refusesValidators(who, 3, validators[4]);
        _refusesValidators(new address[](3), 3, address(0));
        _refusesValidators(validators, 5, address(0));
        tally();
    }

    // ----- Whose updates -----

    function test_tally_refusesOtherAuthors() public {
        fillWindow();
        scoreAll();
        bytes4 refusal = IFederation.InvalidAuthors.selector;
        address[] memory authors = authorsOf(1);
        (authors[1], authors[2]) = (authors[2], authors[1]);
        refuses(address(this), _call(authors), abi.encodeWithSelector(refusal, 1, trainers[2]));
        authors[1] = trainers[0];
        refuses(address(this), _call(authors), abi.encodeWithSelector(refusal, 1, trainers[0]));
        authors = authorsOf(1);
        authors[3] = trainers[4];
        refuses(address(this), _call(authors), abi.encodeWithSelector(refusal, 3, trainers[4]));
        authors[0] = address(0);
        refuses(address(this), _call(authors), abi.encodeWithSelector(refusal, 0, address(0)));
    }

    function testFuzz_tally_refusesAnotherNumberOfAuthors(uint8 count) public {
        vm.assume(count != 4);
        fillWindow();
        scoreAll();
        refuses(
            address(this),
            _call(new address[](count)),
            abi.encodeWithSelector(IFederation.InvalidAuthors.selector, count, address(0))
        );
    }
}
