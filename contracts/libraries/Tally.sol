// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {EntropyShares} from "./EntropyShares.sol";
import {Lanes} from "./Lanes.sol";
import {LowerMedian} from "./LowerMedian.sol";
import {RankCorrelation} from "./RankCorrelation.sol";
import {WeightedMedian} from "./WeightedMedian.sol";
import {Author, Words} from "./Words.sol";

/// @title What a window decides about its updates
/// @notice A pure function of the revealed scores and of what the window fixed when its turn came. It is
/// total: it has a result for all arrays of matching lengths with 1 to 16 updates, 1 to 32 revealing
/// validators, weights in [1, 2^96], reputations up to 1e6, samples below 2^32 and staleness below 2^16.
/// Against shares of the revealed weight without an update's author: below 1/2 liars cannot move its
/// consensus outside the range of the honest scores, from 1/2 on they choose it.
/// @dev A score is an int16: real within [-10000, 9990], or a code. Any other value is refused when it is
/// revealed; should one come all the same it counts as unavailable.
library Tally {
    using DynamicArrayLib for uint256[];
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;
    using Words for uint256;

    /// @notice Everything a window's verdicts depend on: n updates in order of arrival, m revealing
    /// validators.
    struct Input {
        uint256[] scores; // m; 16 big-endian int16, update 0 in the top 16 bits
        uint256[] weights; // m; voting weights
        uint256[] keeps; // m; how many updates each would keep
        uint256[] seats; // m; distinct, below 32, each its validator's bit in `overruled`
        uint256 activeWeight; // voting weight of the whole active set
        uint256[] authorSeat; // n; 255 if the author is not in the active set
        uint256[] authorWeight; // n; 0 if the author is not in the active set
        uint256[] reputations; // n; the authors' as trainers, ppm
        uint256[] samples; // n; as declared
        uint256[] staleness; // n; versions
        bool trustSamples; // whether declared samples count
        int256 rejectBelow; // bps
    }

    /// @notice What a window decides.
    struct Output {
        int256[] consensus; // n; bps, or NO_CONSENSUS, or MALFORMED
        uint256[] verdicts; // n; one of the five below
        uint256[] shares; // n; ppm, at most 1e6 together; 0 unless accepted
        uint256 keep; // how many of the best are kept
        int256[] agreement; // m; each validator's rank correlation with the others, ppm, or NO_AGREEMENT
        uint256 overruled; // bitmap over seats: gave a code where a majority gave real scores
    }

    /// @notice An input as the federation has it.
    struct Case {
        uint256[] scores; // m; these and the next three as in `Input`
        uint256[] weights;
        uint256[] keeps;
        uint256[] seats;
        uint256[] authors; // n; Author
        uint256 activeWeight;
        bool trustSamples;
        int256 rejectBelow;
    }

    /// @notice An output as the federation stores and tells it. A row has a lane of 16 bits an update, update 0 in the top
    /// one; unused lanes are zero.
    struct Outcome {
        uint256 consensus; // a row of int16
        uint256 verdicts; // a row
        uint256[] shares; // n
        uint256 keep;
        int256[] agreement; // m; NO_AGREEMENT_TOLD for none
        uint256 overruled;
    }

    uint256 internal constant NONE = 0;
    uint256 internal constant REJECTED = 1;
    uint256 internal constant MALFORMED_VERDICT = 2;
    uint256 internal constant ACCEPTED = 3; // used, not paid
    uint256 internal constant PAID = 4; // used and paid

    int256 internal constant NO_CONSENSUS = type(int16).min;
    int256 internal constant MALFORMED = type(int16).min + 1;
    int256 internal constant NO_AGREEMENT = type(int256).min;
    int256 internal constant NO_AGREEMENT_TOLD = type(int32).min;

    /// @notice An input whose arrays do not match in length, or outside 1 to 16 updates and 1 to 32 validators.
    error MisshapenInput(uint256 updates, uint256 validators);

    uint256 private constant WAD = 1e18;
    uint256 private constant PPM = 1e6;
    uint256 private constant BASE = 10_000; // real scores are kept plus this, so in [0, SPAN]
    uint256 private constant SPAN = 19_990;
    uint256 private constant NO_CONSENSUS_LANE = 0x8000 + BASE;
    uint256 private constant MALFORMED_LANE = 0x8001 + BASE;
    uint256 private constant FEWEST_COMMON = 4;
    uint256 private constant FEWEST_MALFORMED = 3;
    uint256 private constant HALF = Lanes.FULL * WeightedMedian.ONES; // every other lane

    /// @dev Room to work in. A row is a word with a lane of 16 bits an update, like `scores`; a lane of a set of updates
    /// is 0xffff or 0.
    struct Desk {
        uint256[] rows; // m; scores plus BASE, modulo 2^16
        uint256[] own; // m sets; what a validator wrote and so does not judge
        uint256[] alone; // m sets; what a validator judges without others who have a consensus
        uint256[] moved; // m rows; the consensus, xor that of the others
        uint256[] columns; // room for m rows of votes
        uint256 weight; // all revealed weight
        uint256 heaviest; // the most that one has of it
        uint256 overruled; // as in the output
    }

    /// @notice The verdicts of a window.
    function tally(Input memory input) external pure returns (Output memory) {
        _requireShape(input);
        return _unpack(compute(_pack(input)), input.samples.length);
    }

    /// @notice The same as a part of the caller's own code, for arrays of the right lengths.
    function compute(Case memory input) internal pure returns (Outcome memory outcome) {
        uint256 n = input.authors.length;
        Desk memory desk;
        outcome.keep = _layOut(desk, input, n);
        uint256 consensus = _judgeAll(desk, input, n);
        uint256 agreed = Lanes.first(n) & _real(consensus);
        outcome.overruled = desk.overruled;
        outcome.agreement = _agreements(desk, consensus, agreed);
        uint256 accepted = _accept(consensus, agreed, input.rejectBelow, outcome.keep);
        outcome.verdicts = _verdicts(consensus, agreed, accepted, n);
        outcome.consensus = _lowered(consensus) & Lanes.first(n);
        outcome.shares = _share(input, consensus, accepted, n);
    }

    /// @dev What the unchecked access to arrays below rests on.
    function _requireShape(Input memory input) private pure {
        (uint256 m, uint256 n) = (input.scores.length, input.authorSeat.length);
        uint256 unequal =
            (input.weights.length ^ m) | (input.keeps.length ^ m) | (input.seats.length ^ m);
        unequal |= (input.authorWeight.length ^ n) | (input.reputations.length ^ n);
        unequal |= (input.samples.length ^ n) | (input.staleness.length ^ n);
        if (unequal != 0 || m == 0 || m > 32 || n == 0 || n > 16) revert MisshapenInput(n, m);
    }

    function _pack(Input memory input) private pure returns (Case memory packed) {
        packed.scores = input.scores;
        packed.weights = input.weights;
        packed.keeps = input.keeps;
        packed.seats = input.seats;
        packed.activeWeight = input.activeWeight;
        packed.trustSamples = input.trustSamples;
        packed.rejectBelow = input.rejectBelow;
        uint256 n = input.authorSeat.length;
        packed.authors = DynamicArrayLib.malloc(n);
        unchecked {
            for (uint256 i = 0; i < n; ++i) packed.authors.set(i, _author(input, i)); // safe: i < n
        }
    }

    function _author(Input memory input, uint256 i) private pure returns (uint256 author) {
        // Safe: i is below the length of all arrays of authors, and a seat that counts below 32.
        unchecked {
            author =
                Words.put(Author.REPUTATION, input.reputations.get(i)) |
                Words.put(Author.SAMPLES, input.samples.get(i)) |
                Words.put(Author.STALENESS, input.staleness.get(i)) |
                Words.put(Author.WEIGHT, input.authorWeight.get(i));
            uint256 seat = input.authorSeat.get(i);
            if (seat < 32) author |= Words.put(Author.SEAT, seat + 1);
        }
    }

    function _unpack(
        Outcome memory outcome,
        uint256 n
    ) private pure returns (Output memory output) {
        output.shares = outcome.shares;
        output.keep = outcome.keep;
        output.overruled = outcome.overruled;
        int256[] memory consensus = output.consensus = new int256[](n);
        uint256[] memory verdicts = output.verdicts = DynamicArrayLib.malloc(n);
        (uint256 scores, uint256 row) = (outcome.consensus, outcome.verdicts);
        unchecked {
            // Safe: i < n, the length of both arrays.
            for (uint256 i = 0; i < n; ++i) {
                consensus[i] = int16(uint16(scores >> 240));
                verdicts.set(i, row >> 240);
                (scores, row) = (scores << 16, row << 16);
            }
        }
        int256[] memory agreement = output.agreement = outcome.agreement;
        for (uint256 v = 0; v < agreement.length; ++v) {
            if (agreement[v] == NO_AGREEMENT_TOLD) agreement[v] = NO_AGREEMENT;
        }
    }

    /// @dev Prepares the desk, and takes the median of the keep votes.
    function _layOut(
        Desk memory desk,
        Case memory input,
        uint256 n
    ) private pure returns (uint256) {
        uint256 m = input.scores.length;
        desk.rows = DynamicArrayLib.malloc(m);
        desk.columns = DynamicArrayLib.malloc(m);
        desk.own = new uint256[](m);
        desk.alone = new uint256[](m);
        desk.moved = new uint256[](m);
        uint256 indexOf = _placeVotes(desk, input, m);
        if (m > 1) _markOwn(desk.own, input.authors, indexOf, n); // else nobody else is there
        return WeightedMedian.find(desk.columns, input.weights, 0, desk.weight);
    }

    /// @dev Fills rows, weight and heaviest, and the columns with the keep votes.
    /// @return indexOf Byte s: one plus the index of the validator in seat s.
    function _placeVotes(
        Desk memory desk,
        Case memory input,
        uint256 m
    ) private pure returns (uint256 indexOf) {
        uint256 weight;
        uint256 heaviest;
        // Safe: weights are at most 2^96 and at most 32; v < m.
        unchecked {
            for (uint256 v = 0; v < m; ++v) {
                desk.rows.set(v, _raised(input.scores.get(v)));
                WeightedMedian.insert(desk.columns, v, WeightedMedian.row(input.keeps.get(v), v));
                indexOf |= (v + 1) << (8 * input.seats.get(v));
                uint256 w = input.weights.get(v);
                weight += w;
                if (w > heaviest) heaviest = w;
            }
        }
        (desk.weight, desk.heaviest) = (weight, heaviest);
    }

    /// @dev Adds BASE to every lane, modulo 2^16: the top bits by xor, so that nothing carries over.
    function _raised(uint256 row) private pure returns (uint256) {
        uint256 tops = Lanes.TOPS;
        unchecked {
            return ((row & ~tops) + BASE * Lanes.ONES) ^ (row & tops);
        }
    }

    /// @dev The inverse of that.
    function _lowered(uint256 row) private pure returns (uint256) {
        uint256 tops = Lanes.TOPS;
        unchecked {
            return ((row | tops) - BASE * Lanes.ONES) ^ (~row & tops);
        }
    }

    function _markOwn(
        uint256[] memory own,
        uint256[] memory authors,
        uint256 indexOf,
        uint256 n
    ) private pure {
        // Safe: i < n <= 16; without a seat everything is shifted out; an index is below m, the length of own.
        unchecked {
            for (uint256 i = 0; i < n; ++i) {
                uint256 v = (indexOf >> (8 * (authors.get(i).get(Author.SEAT) - 1))) & 0xff;
                if (v != 0) own.set(v - 1, own.get(v - 1) | (Lanes.FULL << (240 - 16 * i)));
            }
        }
    }

    /// @dev Sorts the votes on every other update, those whose lanes have `shift` (16 or 0) modulo 32. An author's value
    /// is more than any other, a code's more than any score.
    function _sort(Desk memory desk, uint256 shift) private pure {
        (uint256[] memory rows, uint256[] memory own) = (desk.rows, desk.own);
        uint256[] memory columns = desk.columns;
        // Safe: v < m; a value has 17 bits.
        unchecked {
            for (uint256 v = 0; v < rows.length; ++v) {
                uint256 values =
                    ((rows.get(v) >> shift) & HALF) |
                        (((own.get(v) >> shift) & WeightedMedian.ONES) << 16);
                WeightedMedian.insert(columns, v, WeightedMedian.row(values, v));
            }
        }
    }

    /// @return consensus A row; plus BASE, modulo 2^16.
    function _judgeAll(
        Desk memory desk,
        Case memory input,
        uint256 n
    ) private pure returns (uint256 consensus) {
        unchecked {
            // Safe: i < n <= 16. Every other update, then the rest: votes are twice as wide as scores.
            for (uint256 half = 0; half < 2; ++half) {
                _sort(desk, 16 - 16 * half);
                uint256 shift = 256;
                for (uint256 i = half; i < n; i += 2) {
                    shift -= 32;
                    consensus |= _judge(desk, input, i, shift) << (240 - 16 * i);
                }
            }
        }
    }

    /// @dev Everything about one update that needs only its own column of scores: its consensus, who was
    /// overruled, and for each validator the consensus of the others.
    /// @param shift Where its column is.
    function _judge(
        Desk memory desk,
        Case memory input,
        uint256 i,
        uint256 shift
    ) private pure returns (uint256) {
        uint256 count = input.weights.length; // of real scores
        uint256 weight = desk.weight; // of the judges
        uint256 real = weight; // of those with real scores
        // Safe: weights are at most 2^96 and at most 32, so no sum of them, nor twice one, leaves 256
        // bits; and no vote weighs more than all of them, real, which is part of weight.
        unchecked {
            uint256 last = WeightedMedian.voteAt(desk.columns, count - 1, shift);
            if (WeightedMedian.valueOf(last) > SPAN) {
                bool malformed;
                (count, weight, real, malformed) = _setAside(desk, input, i, shift);
                // Nor have the others a consensus without any one real score: there are no agreements.
                if (2 * real <= weight) return malformed ? MALFORMED_LANE : NO_CONSENSUS_LANE;
            }
            if (2 * real <= weight + desk.heaviest) {
                _markAlone(desk, input.weights, i, shift, count, 2 * real - weight);
                if (count == 1)
                    return WeightedMedian.find(desk.columns, input.weights, shift, real);
            }
            return
                WeightedMedian.findWithout(
                    desk.columns,
                    input.weights,
                    shift,
                    real,
                    count,
                    desk.moved,
                    240 - 16 * i
                );
        }
    }

    /// @dev Takes the author and those who gave a code from the end of a column. A code is overruled where it stands
    /// against a majority.
    /// @return count How many real scores are left.
    /// @return weight That of the judges.
    /// @return real That of those with real scores.
    /// @return malformed Whether enough call it malformed.
    function _setAside(
        Desk memory desk,
        Case memory input,
        uint256 i,
        uint256 shift
    ) private pure returns (uint256 count, uint256 weight, uint256 real, bool malformed) {
        (uint256 accusers, uint256 accusing, uint256 seats) = (0, 0, 0);
        count = input.weights.length;
        real = weight = desk.weight;
        // Safe: see _judge; the active weight is one of at most 32 validators too.
        unchecked {
            for (; count != 0; --count) {
                uint256 vote = WeightedMedian.voteAt(desk.columns, count - 1, shift);
                uint256 value = WeightedMedian.valueOf(vote);
                if (value <= SPAN) break;
                uint256 v = WeightedMedian.voterOf(vote);
                uint256 w = input.weights.get(v);
                real -= w;
                if (value > Lanes.FULL) {
                    weight -= w; // the author
                    continue;
                }
                seats |= 1 << input.seats.get(v);
                if (value != MALFORMED_LANE) continue;
                ++accusers;
                accusing += w;
            }
            if (2 * real > weight) desk.overruled |= seats;
            uint256 active = input.activeWeight.zeroFloorSub(
                input.authors.get(i).get(Author.WEIGHT)
            );
            malformed = accusers >= FEWEST_MALFORMED && 3 * accusing > 2 * active;
        }
    }

    /// @dev Marks those without whom the others have no consensus: 2 (real - w) <= weight - w.
    function _markAlone(
        Desk memory desk,
        uint256[] memory weights,
        uint256 i,
        uint256 shift,
        uint256 count,
        uint256 most
    ) private pure {
        uint256[] memory alone = desk.alone;
        unchecked {
            // Safe: k < count, as many as there are votes.
            for (uint256 k = 0; k < count; ++k) {
                uint256 v = WeightedMedian.voterOf(WeightedMedian.voteAt(desk.columns, k, shift));
                if (weights.get(v) >= most)
                    alone.set(v, alone.get(v) | (Lanes.FULL << (240 - 16 * i)));
            }
        }
    }

    /// @dev The rank correlations of each validator's scores with the consensus of the others.
    function _agreements(
        Desk memory desk,
        uint256 consensus,
        uint256 agreed
    ) private pure returns (int256[] memory agreement) {
        uint256 m = desk.rows.length;
        agreement = new int256[](m);
        unchecked {
            // Safe: v < m, the length of all arrays.
            for (uint256 v = 0; v < m; ++v) {
                uint256 row = desk.rows.get(v);
                uint256 common = agreed & _real(row) & ~(desk.own.get(v) | desk.alone.get(v));
                agreement[v] = NO_AGREEMENT_TOLD;
                if (Lanes.size(common) < FEWEST_COMMON) continue;
                uint256 others = consensus ^ desk.moved.get(v);
                (int256 ppm, , bool varies) = RankCorrelation.spearman(row, others, common);
                if (varies) agreement[v] = ppm;
            }
        }
    }

    /// @dev The set of the updates with real scores in a row.
    function _real(uint256 row) private pure returns (uint256) {
        // What is at least 2^15 has its top bit set.
        uint256 high = Lanes.atLeast((row >> 1) & ~Lanes.TOPS, 1 << 14);
        return ~(high | Lanes.atLeast(row & ~Lanes.TOPS, SPAN + 1));
    }

    /// @dev The best `keep` updates that are not below the floor; the earlier of equal ones.
    function _accept(
        uint256 consensus,
        uint256 agreed,
        int256 rejectBelow,
        uint256 keep
    ) private pure returns (uint256 accepted) {
        // Safe: a consensus is below 2^15.
        unchecked {
            uint256 floor = uint256(rejectBelow.clamp(-int256(BASE), int256(SPAN)) + int256(BASE));
            accepted = agreed & Lanes.atLeast(consensus, floor);
            uint256 count = Lanes.size(accepted);
            if (count <= keep) return accepted;
            if (keep == 0) return 0;
            uint256 least = Lanes.kth(consensus, accepted, count - keep);
            accepted &= Lanes.atLeast(consensus, least);
            uint256 ahead = accepted & Lanes.atLeast(consensus, least + 1);
            uint256 excess = Lanes.size(accepted) - keep;
            accepted = ahead | Lanes.withoutLast(accepted ^ ahead, excess);
        }
    }

    /// @return A row.
    function _verdicts(
        uint256 consensus,
        uint256 agreed,
        uint256 accepted,
        uint256 n
    ) private pure returns (uint256) {
        uint256 ones = Lanes.first(n) & Lanes.ONES;
        // Safe: no lane is above PAID; of the two codes only that of malformed is odd.
        unchecked {
            uint256 malformed = consensus & ~agreed & ones;
            uint256 paid = accepted & Lanes.atLeast(consensus, BASE + 1);
            return
                REJECTED * ones +
                (MALFORMED_VERDICT - REJECTED) * malformed +
                (ACCEPTED - REJECTED) * (accepted & ones) +
                (PAID - ACCEPTED) * (paid & ones);
        }
    }

    /// @dev The shares of all n updates, 0 for those not accepted.
    function _share(
        Case memory input,
        uint256 consensus,
        uint256 accepted,
        uint256 n
    ) private pure returns (uint256[] memory result) {
        uint256[] memory shares = _sharesOfAccepted(input, consensus, accepted);
        uint256[] memory authors = input.authors;
        result = DynamicArrayLib.malloc(n);
        // Safe: j counts the accepted ones among the i < n; a share is at most WAD, staleness below 2^32.
        unchecked {
            uint256 j;
            // The root of (1 + stale) WAD^2 is WAD times that of 1 + stale, and never above it by rounding: shares
            // of stale updates are below what they are without it.
            (uint256 last, uint256 root) = (0, WAD);
            for (uint256 i = 0; i < n; ++i) {
                uint256 share;
                if (accepted >> 255 != 0) {
                    uint256 stale = authors.get(i).get(Author.STALENESS);
                    if (stale != last) (last, root) = (stale, ((1 + stale) * WAD * WAD).sqrt());
                    share = (shares.get(j++) * PPM).rawDiv(root);
                }
                result.set(i, share);
                accepted <<= 16;
            }
        }
    }

    /// @dev In WAD, without staleness.
    function _sharesOfAccepted(
        Case memory input,
        uint256 consensus,
        uint256 accepted
    ) private pure returns (uint256[] memory) {
        uint256 count = Lanes.size(accepted);
        if (count == 0) return new uint256[](0);
        uint256[][] memory indicators = _indicators(input, consensus, accepted, count);
        uint256[] memory medians = new uint256[](indicators.length);
        uint256 middle = Lanes.kth(consensus, accepted, (count - 1) / 2);
        bool allSame = (consensus ^ (middle * Lanes.ONES)) & accepted == 0;
        if (!allSame) medians[0] = _quality(middle);
        for (uint256 k = 1; k < medians.length; ++k) {
            (uint256 median, bool even) = LowerMedian.find(indicators[k]);
            if (!even) medians[k] = median;
        }
        return EntropyShares.shares(indicators, medians);
    }

    /// @dev (1 + s) / (1 - s) in WAD for a consensus score s, as a part of one; given in bps plus BASE.
    function _quality(uint256 score) private pure returns (uint256) {
        unchecked {
            return (score * WAD).rawDiv(2 * BASE - score); // safe: the score is at most SPAN, below 2 BASE
        }
    }

    /// @dev The qualities, reputations and, where they count, samples of the accepted.
    function _indicators(
        Case memory input,
        uint256 consensus,
        uint256 accepted,
        uint256 count
    ) private pure returns (uint256[][] memory indicators) {
        uint256[] memory authors = input.authors;
        uint256[] memory qualities = DynamicArrayLib.malloc(count);
        uint256[] memory reputations = DynamicArrayLib.malloc(count);
        uint256[] memory samples = DynamicArrayLib.malloc(count);
        // Safe: what is accepted has a real score, and there are `count` of it: i stays below the number of authors.
        unchecked {
            uint256 i;
            for (uint256 j = 0; j < count; ++i) {
                if (accepted >> 255 != 0) {
                    uint256 author = authors.get(i);
                    qualities.set(j, _quality(consensus >> 240));
                    reputations.set(j, author.get(Author.REPUTATION));
                    samples.set(j++, author.get(Author.SAMPLES));
                }
                accepted <<= 16;
                consensus <<= 16;
            }
        }
        indicators = new uint256[][](input.trustSamples ? 3 : 2);
        (indicators[0], indicators[1]) = (qualities, reputations);
        if (input.trustSamples) indicators[2] = samples;
    }
}
