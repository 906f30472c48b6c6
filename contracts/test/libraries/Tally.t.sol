// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Tally} from "../../libraries/Tally.sol";
import {Test} from "../Vm.sol";

interface JsonVm {
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function parseJsonInt(string calldata json, string calldata key) external pure returns (int256);
}

contract TallyTest is Test {
    int256 private constant UNAVAILABLE = -32768;
    int256 private constant MALFORMED = -32767;
    uint256 private constant PPM = 1e6;

    uint256 private seed;

    // ----- Windows -----

    function draw(uint256 low, uint256 high) private returns (uint256) {
        seed = uint256(keccak256(abi.encode(seed)));
        return low + (seed % (high - low + 1));
    }

    /// A plain window: validator v in seat v, of weight 100, no authors among them, all scores 0.
    function plain(uint256 m, uint256 n) private pure returns (Tally.Input memory w) {
        w.scores = new uint256[](m);
        w.weights = filled(m, 100);
        w.keeps = filled(m, n);
        w.seats = new uint256[](m);
        for (uint256 v = 0; v < m; ++v) w.seats[v] = v;
        w.activeWeight = 100 * m;
        w.authorSeat = filled(n, 255);
        w.authorWeight = new uint256[](n);
        w.reputations = filled(n, 300_000);
        w.samples = filled(n, 100);
        w.staleness = new uint256[](n);
        w.rejectBelow = -600;
    }

    function filled(uint256 size, uint256 value) private pure returns (uint256[] memory values) {
        values = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) values[i] = value;
    }

    function put(Tally.Input memory w, uint256 v, uint256 i, int256 score) private pure {
        uint256 shift = 240 - 16 * i;
        w.scores[v] = (w.scores[v] & ~(0xffff << shift)) | ((uint256(score) & 0xffff) << shift);
    }

    function putAll(Tally.Input memory w, uint256 i, int256 score) private pure {
        for (uint256 v = 0; v < w.scores.length; ++v) put(w, v, i, score);
    }

    function writtenBy(Tally.Input memory w, uint256 i, uint256 v) private pure {
        w.authorSeat[i] = w.seats[v];
        w.authorWeight[i] = w.weights[v];
    }

    /// Anything whose arrays match, down to scores that no reveal lets through.
    function anything(uint256 m, uint256 n) private returns (Tally.Input memory w) {
        w = plain(m, n);
        uint256 bits = draw(0, 96);
        for (uint256 v = 0; v < m; ++v) {
            w.scores[v] = draw(0, 3) == 0 ? draw(0, type(uint256).max - 1) : 0;
            w.weights[v] = draw(1, 2 ** bits);
            w.activeWeight += w.weights[v];
            w.keeps[v] = draw(0, n);
            w.seats[v] = 31 - v;
            for (uint256 i = 0; i < n; ++i) {
                uint256 kind = draw(0, 9);
                if (kind == 0) put(w, v, i, MALFORMED);
                else if (kind == 1) put(w, v, i, UNAVAILABLE);
                else if (kind > 2) put(w, v, i, int256(draw(0, 19_990)) - 10_000);
            }
        }
        for (uint256 i = 0; i < n; ++i) {
            if (draw(0, 1) == 0) writtenBy(w, i, draw(0, m - 1));
            w.reputations[i] = draw(0, PPM);
            w.samples[i] = draw(0, 2 ** 32 - 1);
            w.staleness[i] = draw(0, 2 ** draw(0, 16) - 1);
        }
        w.trustSamples = draw(0, 1) == 0;
        w.rejectBelow = -int256(draw(1, 10_000));
    }

    /// Validators who mostly agree, each an author while there are that many updates.
    function ordinary(uint256 m, uint256 n) private returns (Tally.Input memory w) {
        w = plain(m, n);
        w.activeWeight = 0;
        for (uint256 v = 0; v < m; ++v) {
            w.weights[v] = draw(1e18, 2e18);
            w.activeWeight += w.weights[v];
            w.keeps[v] = draw((n * 3) / 4, n);
            for (uint256 i = 0; i < n; ++i)
                put(w, v, i, int256(draw(0, 40)) * 10 + int256(i) * 20 - 100);
        }
        for (uint256 i = 0; i < n; ++i) {
            if (i < m) writtenBy(w, i, i);
            w.reputations[i] = draw(300_000, 900_000);
            w.samples[i] = draw(20, 200);
            w.staleness[i] = draw(0, 3);
        }
    }

    /// Sorted against the order of arrival; half of the weight at either end and dust between, so that
    /// leaving one vote out moves the median across the dust.
    function laborious() private returns (Tally.Input memory w) {
        w = ordinary(32, 16);
        w.trustSamples = true;
        w.activeWeight = 0;
        for (uint256 v = 0; v < 32; ++v) {
            w.weights[v] = v < 8 || v >= 24 ? 2 ** 96 : 1;
            w.keeps[v] = 16 - v / 2;
            for (uint256 i = 0; i < 16; ++i) put(w, v, i, 9990 - int256(v) * 100 - int256(i));
            w.activeWeight += w.weights[v];
        }
        w.keeps = filled(32, 16);
        for (uint256 i = 0; i < 16; ++i) w.authorWeight[i] = w.weights[i];
    }

    /// For `try` and for reverts: a call from outside, as Federation's.
    function run(Tally.Input memory w) external pure returns (Tally.Output memory) {
        return Tally.tally(w);
    }

    // ----- Totality and what always holds -----

    function testFuzz_tally_neverRevertsAndKeepsItsPromises(uint256 seed_) public {
        seed = seed_;
        Tally.Input memory w = anything(draw(1, 32), draw(1, 16));
        Tally.Output memory o = Tally.tally(w);
        uint256 accepted;
        uint256 sum;
        for (uint256 i = 0; i < w.authorSeat.length; ++i) {
            sum += o.shares[i];
            if (o.verdicts[i] >= Tally.ACCEPTED) {
                ++accepted;
                vm.assertGe(o.consensus[i], w.rejectBelow);
                vm.assertEq(o.verdicts[i] == Tally.PAID, o.consensus[i] > 0);
            } else {
                vm.assertEq(o.shares[i], 0);
                vm.assertEq(o.verdicts[i] == Tally.MALFORMED_VERDICT, o.consensus[i] == MALFORMED);
                vm.assertGe(o.verdicts[i], Tally.REJECTED);
            }
        }
        vm.assertLe(sum, PPM);
        vm.assertLe(accepted, o.keep);
        vm.assertLe(o.keep, w.authorSeat.length);
        for (uint256 v = 0; v < w.scores.length; ++v) {
            if (o.agreement[v] == Tally.NO_AGREEMENT) continue;
            vm.assertGe(o.agreement[v], -1e6);
            vm.assertLe(o.agreement[v], 1e6);
        }
        vm.assertEq(o.overruled >> 32, 0);
    }

    function testFuzz_tally_acceptsNoneBehindOneItRefusesForRank(uint256 seed_) public {
        seed = seed_;
        Tally.Input memory w = anything(draw(1, 32), 16);
        Tally.Output memory o = Tally.tally(w);
        for (uint256 i = 0; i < 16; ++i) {
            if (o.verdicts[i] != Tally.REJECTED || o.consensus[i] < w.rejectBelow) continue;
            for (uint256 j = 0; j < 16; ++j) {
                if (o.verdicts[j] < Tally.ACCEPTED) continue;
                bool ahead = o.consensus[j] > o.consensus[i];
                vm.assertTrue(ahead || (o.consensus[j] == o.consensus[i] && j < i));
            }
        }
    }

    function testFuzz_tally_gainsNothingFromASplitStake(uint256 seed_) public {
        seed = seed_;
        Tally.Input memory w = anything(draw(1, 31), 16);
        uint256 m = w.scores.length;
        // Who is no author: an author's second account would judge its own update.
        w.authorSeat = filled(16, 255);
        Tally.Input memory s = abi.decode(abi.encode(w), (Tally.Input));
        (s.scores, s.weights) = (grown(w.scores, w.scores[0]), grown(w.weights, 0));
        (s.keeps, s.seats) = (grown(w.keeps, w.keeps[0]), grown(w.seats, 0));
        if (w.weights[0] == 1) return;
        s.weights[m] = draw(1, w.weights[0] - 1);
        s.weights[0] -= s.weights[m];
        (Tally.Output memory one, Tally.Output memory two) = (Tally.tally(w), Tally.tally(s));
        vm.assertEq(two.keep, one.keep);
        for (uint256 i = 0; i < 16; ++i) {
            // But for the count of three: one account more may complete it, that is what seats are for.
            if (two.consensus[i] == MALFORMED) continue;
            vm.assertEq(two.consensus[i], one.consensus[i]);
        }
    }

    function grown(
        uint256[] memory values,
        uint256 last
    ) private pure returns (uint256[] memory more) {
        more = new uint256[](values.length + 1);
        for (uint256 i = 0; i < values.length; ++i) more[i] = values[i];
        more[values.length] = last;
    }

    function testFuzz_tally_ignoresAnAuthorsOwnScoreButForItsAgreement(
        uint256 seed_,
        int16 own
    ) public {
        seed = seed_;
        Tally.Input memory w = anything(draw(2, 32), 16);
        writtenBy(w, 5, 1);
        Tally.Output memory before = Tally.tally(w);
        put(w, 1, 5, own);
        vm.assertEq(keccak256(abi.encode(Tally.tally(w))), keccak256(abi.encode(before)));
    }

    // ----- One rule at a time -----

    function test_tally_countsItsOwnAuthorWhereNobodyElseIs() public pure {
        Tally.Input memory w = plain(1, 1);
        writtenBy(w, 0, 0);
        putAll(w, 0, 120);
        Tally.Output memory o = Tally.tally(w);
        vm.assertEq(o.consensus[0], 120);
        vm.assertEq(o.verdicts[0], Tally.PAID);
        vm.assertEq(o.shares[0], PPM);
    }

    function test_tally_needsMoreThanHalfOfTheWeightInRealScores() public pure {
        Tally.Input memory w = plain(2, 1);
        put(w, 0, 0, 50);
        put(w, 1, 0, UNAVAILABLE);
        Tally.Output memory o = Tally.tally(w);
        vm.assertEq(o.consensus[0], Tally.NO_CONSENSUS);
        vm.assertEq(o.verdicts[0], Tally.REJECTED);
        vm.assertEq(o.overruled, 0);
        w.weights[0] = 101;
        o = Tally.tally(w);
        vm.assertEq(o.consensus[0], 50);
        vm.assertEq(o.overruled, 2);
    }

    function test_tally_callsMalformedOnlyByThreeWithTwoThirdsOfTheActive() public pure {
        Tally.Input memory w = plain(3, 1);
        putAll(w, 0, MALFORMED);
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.MALFORMED_VERDICT);
        vm.assertEq(Tally.tally(w).consensus[0], MALFORMED);
        w.activeWeight = 450;
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.REJECTED);
        w.activeWeight = 449;
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.MALFORMED_VERDICT);
        put(w, 0, 0, UNAVAILABLE);
        w.weights[0] = 1;
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.REJECTED);
    }

    function test_tally_takesTheAuthorOutOfTheActiveWeightEvenIfItDidNotReveal() public pure {
        Tally.Input memory w = plain(3, 1);
        putAll(w, 0, MALFORMED);
        w.activeWeight = 500;
        w.authorSeat[0] = 9;
        w.authorWeight[0] = 50;
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.REJECTED);
        w.authorWeight[0] = 51;
        vm.assertEq(Tally.tally(w).verdicts[0], Tally.MALFORMED_VERDICT);
    }

    function test_tally_refusesBelowTheFloorAndPaysAboveZero() public pure {
        Tally.Input memory w = plain(3, 4);
        putAll(w, 0, -601);
        putAll(w, 1, -600);
        putAll(w, 2, 0);
        putAll(w, 3, 1);
        uint256[] memory verdicts = Tally.tally(w).verdicts;
        vm.assertEq(verdicts[0], Tally.REJECTED);
        vm.assertEq(verdicts[1], Tally.ACCEPTED);
        vm.assertEq(verdicts[2], Tally.ACCEPTED);
        vm.assertEq(verdicts[3], Tally.PAID);
    }

    function test_tally_keepsTheEarlierOfEqualUpdates() public pure {
        Tally.Input memory w = plain(3, 3);
        w.keeps = filled(3, 2);
        for (uint256 i = 0; i < 3; ++i) putAll(w, i, 70);
        Tally.Output memory o = Tally.tally(w);
        vm.assertEq(o.verdicts[1], Tally.PAID);
        vm.assertEq(o.verdicts[2], Tally.REJECTED);
    }

    function test_tally_lessensTheShareOfAStaleUpdate() public pure {
        Tally.Input memory w = plain(3, 2);
        putAll(w, 0, 100);
        putAll(w, 1, 100);
        w.staleness[1] = 3;
        Tally.Output memory o = Tally.tally(w);
        vm.assertEq(o.shares[0], 500_000);
        vm.assertEq(o.shares[1], 250_000);
    }

    function test_tally_seesAnAgreementOnlyInFourCommonUpdatesThatDiffer() public pure {
        Tally.Input memory w = plain(3, 4);
        for (uint256 i = 0; i < 4; ++i) putAll(w, i, int256(i) * 10);
        vm.assertEq(Tally.tally(w).agreement[0], 1e6);
        put(w, 0, 3, UNAVAILABLE);
        vm.assertEq(Tally.tally(w).agreement[0], Tally.NO_AGREEMENT);
        for (uint256 i = 0; i < 4; ++i) putAll(w, i, 10);
        put(w, 0, 3, 30);
        vm.assertEq(Tally.tally(w).agreement[0], Tally.NO_AGREEMENT);
        for (uint256 i = 0; i < 4; ++i) {
            putAll(w, i, int256(i) * 10);
            put(w, 0, i, 5);
        }
        vm.assertEq(Tally.tally(w).agreement[0], 0);
    }

    function test_tally_refusesArraysThatDoNotMatch() public {
        Tally.Input memory w = plain(3, 4);
        w.keeps = new uint256[](2);
        vm.expectRevert(abi.encodeWithSelector(Tally.MisshapenInput.selector, 4, 3));
        this.run(w);
        vm.expectRevert(abi.encodeWithSelector(Tally.MisshapenInput.selector, 17, 3));
        this.run(plain(3, 17));
        vm.expectRevert(abi.encodeWithSelector(Tally.MisshapenInput.selector, 4, 33));
        this.run(plain(33, 4));
        vm.expectRevert(abi.encodeWithSelector(Tally.MisshapenInput.selector, 0, 3));
        this.run(plain(3, 0));
    }

    // ----- Python -----

    function test_tally_matchesTheReference() public view {
        string memory json = vm.readFile("tests/vectors/tally.json");
        for (uint256 c = 0; c < 50; ++c) {
            string memory path = string.concat("$.cases[", vm.toString(c), "].");
            Tally.Output memory o = Tally.tally(windowAt(json, path));
            string memory name = vm.parseJsonString(json, string.concat(path, "name"));
            vm.assertEq(
                o.consensus,
                vm.parseJsonIntArray(json, string.concat(path, "consensus")),
                name
            );
            vm.assertEq(o.verdicts, numbers(json, path, "verdicts"), name);
            vm.assertEq(o.keep, vm.parseJsonUint(json, string.concat(path, "keep")), name);
            vm.assertEq(
                o.agreement,
                vm.parseJsonIntArray(json, string.concat(path, "agreement")),
                name
            );
            vm.assertEq(
                o.overruled,
                vm.parseJsonUint(json, string.concat(path, "overruled")),
                name
            );
            uint256[] memory shares = numbers(json, path, "shares");
            for (uint256 i = 0; i < shares.length; ++i)
                vm.assertApproxEqAbs(o.shares[i], shares[i], 2, name);
        }
    }

    function windowAt(
        string memory json,
        string memory path
    ) private pure returns (Tally.Input memory w) {
        w.scores = numbers(json, path, "scores");
        w.weights = numbers(json, path, "weights");
        w.keeps = numbers(json, path, "keeps");
        w.seats = numbers(json, path, "seats");
        w.activeWeight = vm.parseJsonUint(json, string.concat(path, "active_weight"));
        w.authorSeat = numbers(json, path, "author_seat");
        w.authorWeight = numbers(json, path, "author_weight");
        w.reputations = numbers(json, path, "reputations");
        w.samples = numbers(json, path, "samples");
        w.staleness = numbers(json, path, "staleness");
        w.trustSamples = JsonVm(address(vm)).parseJsonBool(
            json,
            string.concat(path, "trust_samples")
        );
        w.rejectBelow = JsonVm(address(vm)).parseJsonInt(json, string.concat(path, "reject_below"));
    }

    function numbers(
        string memory json,
        string memory path,
        string memory key
    ) private pure returns (uint256[] memory) {
        return vm.parseJsonUintArray(json, string.concat(path, key));
    }

    // ----- Gas, with the encoding a caller pays for -----

    function gasOf(Tally.Input memory w) private view returns (uint256) {
        uint256 before = gasleft();
        Tally.tally(w);
        return before - gasleft();
    }

    function test_tally_of16UpdatesBy5ValidatorsCostsAtMost170Thousand() public {
        vm.assertLe(gasOf(ordinary(5, 16)), 170_000);
    }

    function test_tally_of16UpdatesBy32ValidatorsCostsAtMost850ThousandAtWorst() public {
        vm.assertLe(gasOf(ordinary(32, 16)), 700_000);
        vm.assertLe(gasOf(laborious()), 850_000);
    }
}
