// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {WeightedMedian} from "../../libraries/WeightedMedian.sol";
import {Test} from "../Vm.sol";

contract WeightedMedianTest is Test {
    uint256 private constant MAX_WEIGHT = 2 ** 96;

    /// Few distinct values, so that ties are common; small weights or any.
    function draw(
        uint256 seed
    ) private pure returns (uint256[] memory values, uint256[] memory weights) {
        uint256 m = 2 + (seed % 31);
        bool small = (seed >> 8) & 1 == 0;
        values = new uint256[](m);
        weights = new uint256[](m);
        for (uint256 v = 0; v < m; ++v) {
            seed = uint256(keccak256(abi.encode(seed)));
            values[v] = (seed >> 128) & 7 == 0 ? seed % 20_000 : seed % 9;
            weights[v] = 1 + ((seed >> 136) % (small ? 4 : MAX_WEIGHT));
        }
    }

    function sorted(
        uint256[] memory values,
        uint256[] memory weights
    ) private pure returns (uint256[] memory votes, uint256 total) {
        votes = WeightedMedian.room(values.length);
        for (uint256 v = 0; v < values.length; ++v) {
            WeightedMedian.insert(votes, v, WeightedMedian.vote(values[v], v, weights[v]));
            total += weights[v];
        }
    }

    /// The least value x with 2 * cum(<= x) >= total, without voter `out` (none if past the end).
    function slow(
        uint256[] memory values,
        uint256[] memory weights,
        uint256 out
    ) private pure returns (uint256 best) {
        best = type(uint256).max;
        for (uint256 u = 0; u < values.length; ++u) {
            if (u == out || values[u] >= best) continue;
            uint256 upTo;
            uint256 total;
            for (uint256 v = 0; v < values.length; ++v) {
                if (v == out) continue;
                total += weights[v];
                if (values[v] <= values[u]) upTo += weights[v];
            }
            if (2 * upTo >= total) best = values[u];
        }
    }

    function voteAt(uint256[] memory votes, uint256 place) private pure returns (uint256 vote) {
        assembly ("memory-safe") {
            vote := mload(add(add(votes, 0x20), shl(5, place)))
        }
    }

    function median(
        uint256[] memory values,
        uint256[] memory weights
    ) private pure returns (uint256) {
        (uint256[] memory votes, uint256 total) = sorted(values, weights);
        (uint256 place, ) = WeightedMedian.find(votes, total);
        return WeightedMedian.valueOf(voteAt(votes, place));
    }

    function testFuzz_insert_sortsAndKeepsEveryVote(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        (uint256[] memory votes, ) = sorted(values, weights);
        uint256 seen;
        for (uint256 place = 0; place < values.length; ++place) {
            uint256 vote = voteAt(votes, place);
            uint256 v = WeightedMedian.voterOf(vote);
            seen |= 1 << v;
            vm.assertEq(WeightedMedian.valueOf(vote), values[v]);
            vm.assertEq(WeightedMedian.weightOf(vote), weights[v]);
            if (place > 0) vm.assertLt(voteAt(votes, place - 1), vote);
        }
        vm.assertEq(seen, (1 << values.length) - 1);
    }

    function testFuzz_find_isTheLowerWeightedMedian(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        (uint256[] memory votes, uint256 total) = sorted(values, weights);
        (uint256 place, uint256 upTo) = WeightedMedian.find(votes, total);
        vm.assertEq(
            WeightedMedian.valueOf(voteAt(votes, place)),
            slow(values, weights, values.length)
        );
        uint256 sum;
        for (uint256 i = 0; i <= place; ++i) sum += WeightedMedian.weightOf(voteAt(votes, i));
        vm.assertEq(upTo, sum);
    }

    function testFuzz_without_isTheMedianOfTheOthers(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        (uint256[] memory votes, uint256 total) = sorted(values, weights);
        (uint256 place, uint256 upTo) = WeightedMedian.find(votes, total);
        for (uint256 k = 0; k < values.length; ++k) {
            uint256 out = WeightedMedian.voterOf(voteAt(votes, k));
            vm.assertEq(
                WeightedMedian.without(votes, total, place, upTo, k),
                slow(values, weights, out)
            );
        }
    }

    function testFuzz_find_gainsNothingFromASplitStake(uint256 seed, uint256 part) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 m = values.length;
        uint256[] memory splitValues = new uint256[](m + 1);
        uint256[] memory splitWeights = new uint256[](m + 1);
        for (uint256 v = 0; v < m; ++v)
            (splitValues[v], splitWeights[v]) = (values[v], 2 * weights[v]);
        splitValues[m] = values[0];
        splitWeights[m] = bound(part, 1, 2 * weights[0] - 1);
        splitWeights[0] -= splitWeights[m];
        vm.assertEq(median(splitValues, splitWeights), median(values, weights));
    }

    function testFuzz_find_staysAmongTheHonestWhileLiarsAreBelowHalf(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 honest;
        uint256 liars;
        uint256 low = type(uint256).max;
        uint256 high;
        for (uint256 v = 0; v < values.length; ++v) {
            if (liars + weights[v] < honest) {
                liars += weights[v];
                values[v] = (seed >> v) & 1 == 0 ? 0 : 30_000;
            } else {
                honest += weights[v];
                values[v] += 1_000;
                if (values[v] < low) low = values[v];
                if (values[v] > high) high = values[v];
            }
        }
        vm.assertGe(median(values, weights), low);
        vm.assertLe(median(values, weights), high);
    }

    function test_find_takesTheLowerOfTwoMiddles() public pure {
        uint256[] memory votes = WeightedMedian.room(2);
        WeightedMedian.insert(votes, 0, WeightedMedian.vote(9, 0, 5));
        WeightedMedian.insert(votes, 1, WeightedMedian.vote(4, 1, 5));
        (uint256 place, uint256 upTo) = WeightedMedian.find(votes, 10);
        vm.assertEq(place, 0);
        vm.assertEq(upTo, 5);
    }
}
