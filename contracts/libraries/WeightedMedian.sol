// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";

/// @title Lower weighted medians of eight columns of votes, whole and with one vote left out
/// @notice The median of votes is the least value x for which the votes up to x hold at least half
/// of the weight: 2 * cum(<= x) >= total. It is always one of the voted values, and voters with less
/// than half of the weight cannot move it outside the range of the others' values.
/// @dev A row is a word with a lane of 32 bits a column, each a vote: value (20 bits) | voter plus one (6) | zero (5), so that
/// sorting lanes sorts votes, and a vote's low bits are how far from an array's length its weight lies. `rows` are such that each
/// column is sorted; `shift` says which column. `weights` are the voters', in [1, 2^96], and `total` is the weight of
/// the first `count` votes of the column, those that count: of at most 32 votes no sum of weights, nor four times one,
/// leaves 128 bits. So the arithmetic is unchecked; places stay below `count` for the reasons given beside the loops,
/// and a voter below the number of weights, so access is unchecked too.
library WeightedMedian {
    using DynamicArrayLib for uint256[];

    uint256 internal constant ONES =
        0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant TOPS =
        0x8000000080000000800000008000000080000000800000008000000080000000;

    /// @notice A row of one voter's votes, one value a lane.
    function row(uint256 values, uint256 voter) internal pure returns (uint256) {
        unchecked {
            return (values << 11) | ((voter + 1) * (ONES << 5)); // a voter is below 32
        }
    }

    function valueOf(uint256 vote) internal pure returns (uint256) {
        return vote >> 11;
    }

    function voterOf(uint256 vote) internal pure returns (uint256) {
        unchecked {
            return ((vote >> 5) & 63) - 1;
        }
    }

    /// @notice The vote at a place of a column, the least first.
    function voteAt(
        uint256[] memory rows,
        uint256 place,
        uint256 shift
    ) internal pure returns (uint256) {
        return (rows.get(place) >> shift) & type(uint32).max;
    }

    /// @notice Adds a row to the first `count`, for which there is room, and keeps every column sorted.
    function insert(uint256[] memory rows, uint256 count, uint256 row_) internal pure {
        assembly ("memory-safe") {
            // Walks up with the row and leaves at each place the lesser vote of every column. Votes are below 2^31:
            // with its top bit set a lane less another borrows from no other, and keeps the bit if it was not less.
            let slot := add(rows, 0x20)
            for {
                let end := add(slot, shl(5, count))
            } lt(slot, end) {
                slot := add(slot, 0x20)
            } {
                let other := mload(slot)
                let notLess := and(sub(or(other, TOPS), row_), TOPS)
                let change := and(xor(other, row_), sub(notLess, shr(31, notLess)))
                mstore(slot, xor(other, change))
                row_ := xor(row_, change)
            }
            mstore(slot, row_)
        }
    }

    /// @notice The median of a column of at least one vote that counts.
    function find(
        uint256[] memory rows,
        uint256[] memory weights,
        uint256 shift,
        uint256 total
    ) internal pure returns (uint256) {
        unchecked {
            uint256 vote = voteAt(rows, 0, shift);
            uint256 upTo = weights.get(voterOf(vote));
            // Ends in bounds: at the last vote that counts upTo = total.
            for (uint256 place = 1; 2 * upTo < total; ++place) {
                vote = voteAt(rows, place, shift);
                upTo += weights.get(voterOf(vote));
            }
            return valueOf(vote);
        }
    }

    /// @notice The same, and for each of at least two votes that count what the median is without it.
    /// @param others An element a voter: gets `(median ^ the median without it) << to` where it has zeros.
    /// @dev Without a vote of weight w below the median, that is the first with 2 * (cum - w) >= total - w: the same as
    /// long as w <= up, with up = 2 * cum - total at the median, else one above. Without one above it is the first with
    /// 2 * cum >= total - w: the same as long as w < down, with down = total - 2 * cum before the median, else one below.
    /// The median's own vote is like one of either side. Seldom is it far.
    function findWithout(
        uint256[] memory rows,
        uint256[] memory weights,
        uint256 shift,
        uint256 total,
        uint256 count,
        uint256[] memory others,
        uint256 to
    ) internal pure returns (uint256 median) {
        uint256 place; // where the median lies in memory
        uint256 first;
        uint256 middle; // the first vote that is like one above
        uint256 up;
        uint256 down;
        assembly ("memory-safe") {
            first := add(rows, 0x20)
            place := first
            let vote := shr(shift, mload(place))
            let w := mload(add(weights, and(vote, 0x7e0)))
            up := shl(1, w)
            // Ends in bounds: at the last vote that counts up = 2 * total.
            for {} lt(up, total) {} {
                place := add(place, 0x20)
                vote := shr(shift, mload(place))
                w := mload(add(weights, and(vote, 0x7e0)))
                up := add(up, shl(1, w))
            }
            up := sub(up, total)
            down := sub(shl(1, w), up)
            median := and(shr(11, vote), 0xfffff)
            middle := add(place, shl(5, lt(w, down)))
        }
        _findAbove(weights, shift, place, up, first, middle, others, to);
        unchecked {
            _findBelow(weights, shift, place, down, middle, first + 32 * count, others, to);
        }
    }

    /// @dev Without each of the votes from `k` to before `end`, of which none is above the median, at `place`.
    function _findAbove(
        uint256[] memory weights,
        uint256 shift,
        uint256 place,
        uint256 up,
        uint256 k,
        uint256 end,
        uint256[] memory others,
        uint256 to
    ) private pure {
        assembly ("memory-safe") {
            // What lies past the end is read, but not used: at the last vote that counts up = total, and total >= w.
            let next := and(shr(shift, mload(add(place, 0x20))), 0x7e0)
            let far := add(up, shl(1, mload(add(weights, next))))
            for {} lt(k, end) {
                k := add(k, 0x20)
            } {
                let voter := and(shr(shift, mload(k)), 0x7e0)
                let w := mload(add(weights, voter))
                if gt(w, up) {
                    let slot := add(place, 0x20)
                    // Ends in bounds: see above.
                    for {
                        let slack := far
                    } gt(w, slack) {} {
                        slot := add(slot, 0x20)
                        next := and(shr(shift, mload(slot)), 0x7e0)
                        slack := add(slack, shl(1, mload(add(weights, next))))
                    }
                    let change := and(shr(11, shr(shift, xor(mload(slot), mload(place)))), 0xfffff)
                    voter := add(others, voter)
                    mstore(voter, or(mload(voter), shl(to, change)))
                }
            }
        }
    }

    /// @dev Without each of the votes from `k` to before `end`, of which none is below the median, at `place`.
    function _findBelow(
        uint256[] memory weights,
        uint256 shift,
        uint256 place,
        uint256 down,
        uint256 k,
        uint256 end,
        uint256[] memory others,
        uint256 to
    ) private pure {
        assembly ("memory-safe") {
            // The array's length is read, but not used: at the first vote down = total, and total > w as there is
            // another vote.
            let next := and(shr(shift, mload(sub(place, 0x20))), 0x7e0)
            let far := add(down, shl(1, mload(add(weights, next))))
            for {} lt(k, end) {
                k := add(k, 0x20)
            } {
                let voter := and(shr(shift, mload(k)), 0x7e0)
                let w := mload(add(weights, voter))
                if iszero(lt(w, down)) {
                    let slot := sub(place, 0x20)
                    // Ends in bounds: see above.
                    for {
                        let slack := far
                    } iszero(lt(w, slack)) {} {
                        slot := sub(slot, 0x20)
                        next := and(shr(shift, mload(slot)), 0x7e0)
                        slack := add(slack, shl(1, mload(add(weights, next))))
                    }
                    let change := and(shr(11, shr(shift, xor(mload(slot), mload(place)))), 0xfffff)
                    voter := add(others, voter)
                    mstore(voter, or(mload(voter), shl(to, change)))
                }
            }
        }
    }
}
