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

    /// The votes as one column of eight, of which the others hold anything.
    function sorted(
        uint256[] memory values,
        uint256[] memory weights,
        uint256 shift
    ) private pure returns (uint256[] memory rows, uint256 total) {
        rows = new uint256[](values.length);
        for (uint256 v = 0; v < values.length; ++v) {
            uint256 anything = uint256(keccak256(abi.encode(v))) & (0xfffff * WeightedMedian.ONES);
            uint256 lanes = (anything & ~(0xfffff << shift)) | (values[v] << shift);
            WeightedMedian.insert(rows, v, WeightedMedian.row(lanes, v));
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

    function median(
        uint256[] memory values,
        uint256[] memory weights
    ) private pure returns (uint256) {
        (uint256[] memory rows, uint256 total) = sorted(values, weights, 0);
        return WeightedMedian.find(rows, weights, 0, total);
    }

    function testFuzz_insert_sortsEveryColumnAndKeepsEveryVote(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 shift = 32 * (seed % 8);
        (uint256[] memory rows, ) = sorted(values, weights, shift);
        for (uint256 column = 0; column < 8; ++column) {
            uint256 seen;
            for (uint256 place = 0; place < rows.length; ++place) {
                uint256 vote = WeightedMedian.voteAt(rows, place, 32 * column);
                uint256 v = WeightedMedian.voterOf(vote);
                seen |= 1 << v;
                if (32 * column == shift) vm.assertEq(WeightedMedian.valueOf(vote), values[v]);
                if (place > 0)
                    vm.assertLt(WeightedMedian.voteAt(rows, place - 1, 32 * column), vote);
            }
            vm.assertEq(seen, (1 << rows.length) - 1);
        }
    }

    function testFuzz_find_isTheLowerWeightedMedian(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 shift = 32 * (seed % 8);
        (uint256[] memory rows, uint256 total) = sorted(values, weights, shift);
        vm.assertEq(
            WeightedMedian.find(rows, weights, shift, total),
            slow(values, weights, values.length)
        );
    }

    function testFuzz_findWithout_isTheMedianOfTheOthers(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        (uint256 shift, uint256 to) = (32 * (seed % 8), (seed >> 64) % 200);
        (uint256[] memory rows, uint256 total) = sorted(values, weights, shift);
        uint256[] memory others = new uint256[](values.length);
        for (uint256 v = 0; v < others.length; ++v) others[v] = (seed >> 72) & 1; // kept, below `to`
        uint256 whole = WeightedMedian.findWithout(
            rows,
            weights,
            shift,
            total,
            others.length,
            others,
            1 + to
        );
        vm.assertEq(whole, slow(values, weights, values.length));
        for (uint256 v = 0; v < values.length; ++v) {
            vm.assertEq((others[v] >> (1 + to)) ^ whole, slow(values, weights, v));
            vm.assertEq(others[v] & 1, (seed >> 72) & 1);
        }
    }

    function testFuzz_findWithout_countsOnlyTheFirst(uint256 seed) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 m = values.length;
        if (m == 2) return;
        for (uint256 v = 0; v < m; ++v) values[v] = (values[v] << 1) | (v == 0 ? 1 << 19 : 0);
        (uint256[] memory rows, uint256 total) = sorted(values, weights, 0);
        uint256[] memory others = new uint256[](m);
        uint256 count = m - 1;
        WeightedMedian.findWithout(rows, weights, 0, total - weights[0], count, others, 0);
        (uint256[] memory fewer, uint256[] memory theirs) = (
            new uint256[](count),
            new uint256[](count)
        );
        for (uint256 v = 0; v < count; ++v) (fewer[v], theirs[v]) = (values[v + 1], weights[v + 1]);
        vm.assertEq(others[0], uint256(0));
        uint256 whole = slow(fewer, theirs, count);
        for (uint256 v = 0; v < count; ++v)
            vm.assertEq(others[v + 1] ^ whole, slow(fewer, theirs, v));
    }

    function testFuzz_find_gainsNothingFromASplitStake(uint256 seed, uint256 part) public pure {
        (uint256[] memory values, uint256[] memory weights) = draw(seed);
        uint256 m = values.length;
        if (m == 32) return; // there is no seat for one more
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
        uint256[] memory values = new uint256[](2);
        uint256[] memory weights = new uint256[](2);
        (values[0], values[1], weights[0], weights[1]) = (9, 4, 5, 5);
        vm.assertEq(median(values, weights), uint256(4));
    }
}
