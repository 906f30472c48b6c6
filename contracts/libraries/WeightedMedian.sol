// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";

/// @title Lower weighted median, whole and with one vote left out
/// @notice The median of votes is the least value x for which the votes up to x hold at least half
/// of the weight: 2 * cum(<= x) >= total. It is always one of the voted values, and voters with less
/// than half of the weight cannot move it outside the range of the others' values.
/// @dev A vote is one word, value (120 bits) | voter (8) | weight (128), so that sorting words sorts
/// votes. Votes lie sorted in a `room`, an array whose length reads 0.
/// Weights are in [1, 2^96] and `total` is always the weight of all votes given: of at most 2^16 votes
/// no sum of weights, nor twice one, leaves 128 bits. So the arithmetic is unchecked; places stay below
/// `count` for the reasons given beside the loops, so access is unchecked too.
library WeightedMedian {
    using DynamicArrayLib for uint256[];

    function vote(uint256 value, uint256 voter, uint256 weight) internal pure returns (uint256) {
        return (value << 136) | (voter << 128) | weight;
    }

    /// @notice A vote of value 0, given another value.
    function withValue(uint256 vote_, uint256 value) internal pure returns (uint256) {
        return (value << 136) | vote_;
    }

    function valueOf(uint256 vote_) internal pure returns (uint256) {
        return vote_ >> 136;
    }

    function voterOf(uint256 vote_) internal pure returns (uint256) {
        return (vote_ >> 128) & 0xff;
    }

    function weightOf(uint256 vote_) internal pure returns (uint256) {
        return vote_ & type(uint128).max;
    }

    /// @notice Room for up to `size` votes.
    function room(uint256 size) internal pure returns (uint256[] memory votes) {
        votes = new uint256[](size);
        assembly ("memory-safe") {
            mstore(votes, 0) // its length: gives nothing back, and is less than any vote
        }
    }

    /// @notice Adds a vote to the first `count`, which are sorted and leave room, and keeps them sorted.
    function insert(uint256[] memory votes, uint256 count, uint256 vote_) internal pure {
        assembly ("memory-safe") {
            // Walks down from the last vote, moving up what is greater; ends at the length, which is 0.
            let slot := add(votes, shl(5, count))
            let below := mload(slot)
            for {} gt(below, vote_) {} {
                mstore(add(slot, 0x20), below)
                slot := sub(slot, 0x20)
                below := mload(slot)
            }
            mstore(add(slot, 0x20), vote_)
        }
    }

    /// @notice Where the median of at least one sorted vote is.
    /// @return place Its place.
    /// @return upTo The weight of the votes up to and including it.
    function find(
        uint256[] memory votes,
        uint256 total
    ) internal pure returns (uint256 place, uint256 upTo) {
        unchecked {
            upTo = weightOf(votes.get(0));
            // Ends in bounds: at the last vote upTo = total.
            while (2 * upTo < total) upTo += weightOf(votes.get(++place));
        }
    }

    /// @notice The median of sorted votes without vote `k`; there must be another one.
    /// @param place The median's place among all votes, and `upTo` the weight up to it, as `find` says.
    /// @dev Without vote k the weight up to a place below k stays, and from k on falls by w. So the
    /// median is the first place with 2 * cum >= total - w if that is below k, and else the first with
    /// 2 * cum - 2 * w >= total - w. Both are found by walking from the whole median, seldom far.
    function without(
        uint256[] memory votes,
        uint256 total,
        uint256 place,
        uint256 upTo,
        uint256 k
    ) internal pure returns (uint256) {
        unchecked {
            uint256 w = weightOf(votes.get(k));
            uint256 found = votes.get(place);
            if (place <= k) {
                uint256 j = place;
                uint256 before = upTo - weightOf(found); // upTo includes it
                // Ends in bounds: before = 0 at place 0, and total > w as there is another vote.
                while (2 * before >= total - w) {
                    found = votes.get(--j);
                    before -= weightOf(found);
                }
                if (j < k) return valueOf(found);
            }
            // Ends in bounds: at the last vote upTo = total, and total >= w.
            while (2 * upTo < total + w) {
                found = votes.get(++place);
                upTo += weightOf(found);
            }
            return valueOf(found);
        }
    }
}
