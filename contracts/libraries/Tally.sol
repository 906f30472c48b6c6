// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";
import {EntropyShares} from "./EntropyShares.sol";
import {RankCorrelation} from "./RankCorrelation.sol";
import {WeightedMedian} from "./WeightedMedian.sol";

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
    using FixedPointMathLib for uint256;

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

    uint256 internal constant NONE = 0;
    uint256 internal constant REJECTED = 1;
    uint256 internal constant MALFORMED_VERDICT = 2;
    uint256 internal constant ACCEPTED = 3; // used, not paid
    uint256 internal constant PAID = 4; // used and paid

    int256 internal constant NO_CONSENSUS = type(int16).min;
    int256 internal constant MALFORMED = type(int16).min + 1;
    int256 internal constant NO_AGREEMENT = type(int256).min;

    /// @notice An input whose arrays do not match in length, or outside 1 to 16 updates and 1 to 32 validators.
    error MisshapenInput(uint256 updates, uint256 validators);

    uint256 private constant WAD = 1e18;
    uint256 private constant PPM = 1e6;
    uint256 private constant BASE = 10_000; // real scores are kept plus this, so in [0, SPAN]
    uint256 private constant SPAN = 19_990;
    uint256 private constant MALFORMED_LANE = 0x8001 + BASE;
    uint256 private constant FEWEST_COMMON = 4;
    uint256 private constant FEWEST_MALFORMED = 3;
    uint256 private constant ONES =
        0x0001000100010001000100010001000100010001000100010001000100010001;

    /// @dev Room to work in. A row is a word with a lane of 16 bits an update, like `scores`.
    struct Desk {
        uint256[] rows; // m; scores plus BASE, modulo 2^16
        uint256[] ballots; // m; a vote of each validator without its value
        uint256[] others; // m rows; the consensus of the others, plus BASE
        uint256[] common; // m rows; 0xffff where a validator's score meets a consensus of the others
        uint256[] votes; // room for m votes
        uint256 authors; // byte i: one plus the author of update i as a validator, 0 if it is none
        uint256 weight; // all revealed weight
    }

    /// @notice The verdicts of a window.
    function tally(Input memory input) external pure returns (Output memory) {
        return compute(input);
    }

    /// @notice The same as a part of the caller's own code: nothing is copied.
    function compute(Input memory input) internal pure returns (Output memory output) {
        uint256 n = input.authorSeat.length;
        uint256 m = input.scores.length;
        _requireShape(input, m, n);
        output.consensus = new int256[](n);
        output.verdicts = new uint256[](n);
        output.shares = new uint256[](n);
        output.agreement = new int256[](m);

        Desk memory desk;
        output.keep = _layOut(desk, input, m, n);
        for (uint256 i = 0; i < n; ++i) _judge(input, output, desk, i);
        for (uint256 v = 0; v < m; ++v) {
            output.agreement[v] = _agreement(desk.rows[v], desk.others[v], desk.common[v]);
        }
        _share(input, output, _accept(output, input.rejectBelow));
    }

    /// @dev What the unchecked access to arrays below rests on.
    function _requireShape(Input memory input, uint256 m, uint256 n) private pure {
        uint256 unequal =
            (input.weights.length ^ m) | (input.keeps.length ^ m) | (input.seats.length ^ m);
        unequal |= (input.authorWeight.length ^ n) | (input.reputations.length ^ n);
        unequal |= (input.samples.length ^ n) | (input.staleness.length ^ n);
        if (unequal != 0 || m == 0 || m > 32 || n == 0 || n > 16) revert MisshapenInput(n, m);
    }

    /// @dev Prepares the desk, and takes the median of the keep votes.
    function _layOut(
        Desk memory desk,
        Input memory input,
        uint256 m,
        uint256 n
    ) private pure returns (uint256) {
        uint256[] memory votes = desk.votes = WeightedMedian.room(m);
        desk.others = new uint256[](m);
        desk.common = new uint256[](m);
        uint256 indexOf = _placeBallots(desk, input, votes, m);
        if (m > 1) desk.authors = _authors(input.authorSeat, indexOf, n); // else nobody else is there
        (uint256 place, ) = WeightedMedian.find(votes, desk.weight);
        return WeightedMedian.valueOf(votes.get(place));
    }

    /// @dev Fills rows, ballots and weight, and votes with the keep votes.
    /// @return indexOf Byte s: one plus the index of the validator in seat s.
    function _placeBallots(
        Desk memory desk,
        Input memory input,
        uint256[] memory votes,
        uint256 m
    ) private pure returns (uint256 indexOf) {
        uint256[] memory rows = desk.rows = new uint256[](m);
        uint256[] memory ballots = desk.ballots = new uint256[](m);
        (uint256[] memory scores, uint256[] memory weights) = (input.scores, input.weights);
        (uint256[] memory keeps, uint256[] memory seats) = (input.keeps, input.seats);
        uint256 weight;
        // Safe: weights are at most 2^96 and at most 32; v < m.
        unchecked {
            for (uint256 v = 0; v < m; ++v) {
                rows.set(v, _raised(scores.get(v)));
                uint256 w = weights.get(v);
                weight += w;
                uint256 ballot = WeightedMedian.vote(0, v, w);
                ballots.set(v, ballot);
                WeightedMedian.insert(votes, v, WeightedMedian.withValue(ballot, keeps.get(v)));
                indexOf |= (v + 1) << (8 * seats.get(v));
            }
        }
        desk.weight = weight;
    }

    /// @dev Adds BASE to every lane, modulo 2^16: the top bits by xor, so that nothing carries over.
    function _raised(uint256 row) private pure returns (uint256) {
        uint256 tops = ONES << 15;
        unchecked {
            return ((row & ~tops) + BASE * ONES) ^ (row & tops);
        }
    }

    function _authors(
        uint256[] memory seats,
        uint256 indexOf,
        uint256 n
    ) private pure returns (uint256 authors) {
        // Safe: i < n <= 16; a seat of 32 or more shifts everything out.
        unchecked {
            for (uint256 i = 0; i < n; ++i)
                authors |= ((indexOf >> (8 * seats.get(i))) & 0xff) << (8 * i);
        }
    }

    /// @dev Everything about one update that needs only its own column of scores: its consensus, who was
    /// overruled, and for each validator the consensus of the others.
    function _judge(
        Input memory input,
        Output memory output,
        Desk memory desk,
        uint256 i
    ) private pure {
        (uint256 count, uint256 weight, uint256 real, uint256 codes) = _collect(desk, i);
        // Safe: weights are at most 2^96 and at most 32, so no sum of them, nor twice one, leaves 256
        // bits; and no vote weighs more than all of them, real, which is part of weight.
        unchecked {
            if (2 * real <= weight) {
                // Nor have the others a consensus without any one real score: there are no agreements.
                bool malformed = _malformed(input, desk, codes, i);
                output.consensus[i] = malformed ? MALFORMED : NO_CONSENSUS;
                output.verdicts[i] = malformed ? MALFORMED_VERDICT : REJECTED;
                return;
            }
            if (codes != 0) output.overruled |= _seats(input.seats, codes);

            uint256[] memory votes = desk.votes;
            uint256 shift = 240 - 16 * i;
            (uint256 place, uint256 upTo) = WeightedMedian.find(votes, real);
            output.consensus[i] = int256(WeightedMedian.valueOf(votes.get(place))) - int256(BASE);
            output.verdicts[i] = REJECTED; // until it is accepted
            (uint256[] memory others, uint256[] memory common) = (desk.others, desk.common);
            for (uint256 k = 0; k < count; ++k) {
                uint256 vote = votes.get(k);
                uint256 w = WeightedMedian.weightOf(vote);
                if (2 * real <= weight + w) continue; // 2 (real - w) <= weight - w
                uint256 v = WeightedMedian.voterOf(vote);
                uint256 median = WeightedMedian.without(votes, real, place, upTo, k);
                others.set(v, others.get(v) | (median << shift));
                common.set(v, common.get(v) | (0xffff << shift));
            }
        }
    }

    /// @dev Puts the real scores of an update's judges, plus BASE, on the desk.
    /// @return count How many they are.
    /// @return weight The weight of the judges.
    /// @return real The weight of those with a real score.
    /// @return codes Bitmap over validators of those without.
    function _collect(
        Desk memory desk,
        uint256 i
    ) private pure returns (uint256 count, uint256 weight, uint256 real, uint256 codes) {
        (uint256[] memory rows, uint256[] memory ballots) = (desk.rows, desk.ballots);
        uint256[] memory votes = desk.votes;
        // Safe: see _judge.
        unchecked {
            uint256 m = rows.length;
            uint256 shift = 240 - 16 * i;
            uint256 author = ((desk.authors >> (8 * i)) & 0xff) - 1; // none wraps to no index
            weight = desk.weight;
            for (uint256 v = 0; v < m; ++v) {
                uint256 ballot = ballots.get(v);
                uint256 value = (rows.get(v) >> shift) & 0xffff;
                if (v == author) {
                    weight -= WeightedMedian.weightOf(ballot);
                } else if (value > SPAN) {
                    codes |= 1 << v;
                } else {
                    WeightedMedian.insert(votes, count++, WeightedMedian.withValue(ballot, value));
                    real += WeightedMedian.weightOf(ballot);
                }
            }
        }
    }

    /// @dev Whether enough of those who gave a code for an update call it malformed.
    function _malformed(
        Input memory input,
        Desk memory desk,
        uint256 codes,
        uint256 i
    ) private pure returns (bool) {
        uint256 accusers;
        uint256 accusing;
        // Safe: see _judge; the active weight is one of at most 32 validators too.
        unchecked {
            for (uint256 v = 0; v < desk.rows.length; ++v) {
                if ((codes >> v) & 1 == 0) continue;
                if ((desk.rows.get(v) >> (240 - 16 * i)) & 0xffff != MALFORMED_LANE) continue;
                ++accusers;
                accusing += input.weights[v];
            }
            uint256 active = input.activeWeight.zeroFloorSub(input.authorWeight[i]);
            return accusers >= FEWEST_MALFORMED && 3 * accusing > 2 * active;
        }
    }

    /// @dev From a bitmap over validators to one over their seats.
    function _seats(
        uint256[] memory seats,
        uint256 validators
    ) private pure returns (uint256 bitmap) {
        for (uint256 v = 0; v < seats.length; ++v) {
            if ((validators >> v) & 1 != 0) bitmap |= 1 << seats[v];
        }
    }

    /// @dev The rank correlation of one validator's scores with the consensus of the others.
    function _agreement(uint256 row, uint256 others, uint256 common) private pure returns (int256) {
        if (RankCorrelation.size(common) < FEWEST_COMMON) return NO_AGREEMENT;
        (int256 ppm, , bool varies) = RankCorrelation.spearman(row, others, common);
        return varies ? ppm : NO_AGREEMENT;
    }

    /// @dev Marks the best `keep` updates that are not below the floor as accepted.
    /// @return accepted Their indices, worst first.
    function _accept(
        Output memory output,
        int256 rejectBelow
    ) private pure returns (uint256[] memory accepted) {
        uint256 n = output.consensus.length;
        accepted = new uint256[](n);
        uint256 count;
        // Safe: a consensus is in int16 and an index below 2^8; all indices are below n.
        unchecked {
            // Words that sort by consensus, best first, then by index. What is below the floor ranks
            // behind all that is not, so it may as well be left out first.
            for (uint256 i = 0; i < n; ++i) {
                int256 c = output.consensus[i];
                if (c <= MALFORMED || c < rejectBelow) continue;
                accepted.set(count++, (uint256(type(int16).max - c) << 8) | i);
            }
            accepted.truncate(count);
            LibSort.insertionSort(accepted);
            accepted.truncate(output.keep);
            LibSort.reverse(accepted);
            for (uint256 j = 0; j < accepted.length; ++j) {
                uint256 i = accepted.get(j) & 0xff;
                accepted.set(j, i);
                output.verdicts[i] = output.consensus[i] > 0 ? PAID : ACCEPTED;
            }
        }
    }

    /// @dev Gives the accepted updates their shares.
    /// @param accepted Worst first, so that one indicator is sorted already.
    function _share(
        Input memory input,
        Output memory output,
        uint256[] memory accepted
    ) private pure {
        uint256[][] memory indicators = new uint256[][](input.trustSamples ? 3 : 2);
        indicators[0] = _quality(output.consensus, accepted);
        indicators[1] = _of(accepted, input.reputations);
        if (input.trustSamples) indicators[2] = _of(accepted, input.samples);

        uint256[] memory shares = EntropyShares.shares(indicators);
        uint256[] memory staleness = input.staleness;
        // Safe: accepted indices are below n; a share is at most WAD, staleness below 2^16.
        unchecked {
            for (uint256 j = 0; j < accepted.length; ++j) {
                uint256 i = accepted.get(j);
                uint256 share = shares.get(j) * PPM;
                uint256 stale = staleness.get(i);
                // The root of (1 + stale) WAD^2 is WAD times that of 1 + stale, and never above it by
                // rounding: shares of stale updates are below what they are without it.
                if (stale == 0) share /= WAD;
                else share /= ((1 + stale) * WAD * WAD).sqrt();
                output.shares[i] = share;
            }
        }
    }

    /// @dev (1 + s) / (1 - s) in WAD for the consensus scores s of the accepted, as parts of one.
    function _quality(
        int256[] memory consensus,
        uint256[] memory accepted
    ) private pure returns (uint256[] memory values) {
        values = new uint256[](accepted.length);
        unchecked {
            for (uint256 j = 0; j < values.length; ++j) {
                // Accepted, so the consensus is in [-10000, 9990]: gain is in [0, SPAN], SPAN < 2 BASE.
                uint256 gain = uint256(int256(BASE) + consensus[accepted.get(j)]);
                values.set(j, (gain * WAD) / (2 * BASE - gain));
            }
        }
    }

    /// @dev The values of the accepted.
    function _of(
        uint256[] memory accepted,
        uint256[] memory all
    ) private pure returns (uint256[] memory values) {
        values = new uint256[](accepted.length);
        unchecked {
            // Safe: accepted indices are below n, the length of all.
            for (uint256 j = 0; j < values.length; ++j) values.set(j, all.get(accepted.get(j)));
        }
    }
}
