// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RankCorrelation} from "../../libraries/RankCorrelation.sol";
import {Test} from "../Vm.sol";

contract RankCorrelationTest is Test {
    uint256 private constant TOPS =
        0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant MOST = ~TOPS - (TOPS >> 15);
    uint256 private constant ALL = type(uint256).max;

    function lane(uint256 row, uint256 i) private pure returns (uint256) {
        return (row >> (16 * i)) & 0xffff;
    }

    /// Full lanes where the bits of `which` are set.
    function lanes(uint16 which) private pure returns (uint256 row) {
        for (uint256 i = 0; i < 16; ++i) {
            if ((which >> i) & 1 != 0) row |= 0xffff << (16 * i);
        }
    }

    /// Any row below 2^15 - 1; every other time of few distinct values, for ties.
    function values(uint256 seed) private pure returns (uint256) {
        uint256 some = uint256(keccak256(abi.encode(seed)));
        if (seed & 1 == 0) return some & ((TOPS >> 14) | (TOPS >> 15));
        uint256 row = some & ~TOPS;
        return row & ~(((row + (TOPS >> 15)) & TOPS) >> 15); // 2^15 - 1 becomes 2^15 - 2
    }

    /// Twice the mean rank of lane i among those that count, less the mean of all.
    function slowRank(uint256 row, uint256 counts, uint256 i) private pure returns (int256 rank) {
        if (lane(counts, i) == 0) return 0;
        for (uint256 j = 0; j < 16; ++j) {
            if (lane(counts, j) == 0) continue;
            if (lane(row, j) < lane(row, i)) ++rank;
            if (lane(row, j) > lane(row, i)) --rank;
        }
    }

    function slowCovariance(
        uint256 x,
        uint256 y,
        uint256 counts
    ) private pure returns (int256 sum) {
        for (uint256 i = 0; i < 16; ++i) sum += slowRank(x, counts, i) * slowRank(y, counts, i);
    }

    function slowRoot(uint256 x) private pure returns (uint256 low) {
        uint256 high = 2e6;
        while (low + 1 < high) {
            uint256 middle = (low + high) / 2;
            if (middle * middle <= x) low = middle;
            else high = middle;
        }
    }

    function testFuzz_centredRanks_countWhatIsBelowLessWhatIsAbove(
        uint256 seed,
        uint16 which
    ) public pure {
        uint256 ranks = RankCorrelation.centredRanks(values(seed), lanes(which));
        for (uint256 i = 0; i < 16; ++i) {
            vm.assertEq(int256(lane(ranks, i)) - 16, slowRank(values(seed), lanes(which), i));
        }
    }

    function testFuzz_centredRanks_ignoreWhatDoesNotCount(
        uint256 row,
        uint256 other,
        uint16 which
    ) public pure {
        uint256 counts = lanes(which);
        uint256 mixed = (row & counts) | (other & ~counts);
        vm.assertEq(
            RankCorrelation.centredRanks(row, counts),
            RankCorrelation.centredRanks(mixed, counts)
        );
    }

    function testFuzz_reversed_putsTheFirstLaneLast(uint256 row) public pure {
        uint256 back = RankCorrelation.reversed(row);
        for (uint256 i = 0; i < 16; ++i) vm.assertEq(lane(back, i), lane(row, 15 - i));
    }

    function testFuzz_dot_isTheSumOfProducts(uint256 x, uint256 y, uint16 which) public pure {
        uint256 counts = lanes(which);
        uint256 left = RankCorrelation.centredRanks(values(x), counts);
        uint256 right = RankCorrelation.centredRanks(values(y), counts);
        vm.assertEq(
            RankCorrelation.dot(left, RankCorrelation.reversed(right)),
            slowCovariance(values(x), values(y), counts)
        );
    }

    function testFuzz_spearman_isPearsonOfTheRanks(uint256 x, uint256 y, uint16 which) public pure {
        (uint256 a, uint256 b, uint256 counts) = (values(x), values(y), lanes(which));
        (int256 ppm, bool xVaries, bool yVaries) = RankCorrelation.spearman(a, b, counts);
        int256 variance = slowCovariance(a, a, counts) * slowCovariance(b, b, counts);
        int256 covariance = slowCovariance(a, b, counts);
        vm.assertEq(xVaries, slowCovariance(a, a, counts) != 0);
        vm.assertEq(yVaries, slowCovariance(b, b, counts) != 0);
        if (variance == 0) {
            vm.assertEq(ppm, int256(0));
            return;
        }
        int256 size = int256(slowRoot(uint256((covariance * covariance * 1e12) / variance)));
        vm.assertEq(ppm, covariance < 0 ? -size : size);
    }

    function testFuzz_spearman_isOneWithItselfAndMinusOneWithItsOpposite(
        uint256 x,
        uint16 which
    ) public pure {
        uint256 counts = lanes(which);
        (int256 same, bool varies, ) = RankCorrelation.spearman(values(x), values(x), counts);
        (int256 opposite, , ) = RankCorrelation.spearman(values(x), MOST - values(x), counts);
        vm.assertEq(same, varies ? int256(1e6) : int256(0));
        vm.assertEq(opposite, -same);
    }

    function testFuzz_spearman_seesOnlyTheOrder(uint256 x, uint256 y, uint16 which) public pure {
        uint256 counts = lanes(which);
        uint256 small = values(x) & ((TOPS >> 8) - (TOPS >> 15)); // lanes below 2^7
        uint256 stretched;
        for (uint256 i = 0; i < 16; ++i) stretched |= (lane(small, i) * lane(small, i)) << (16 * i);
        (int256 plain, , ) = RankCorrelation.spearman(small, values(y), counts);
        (int256 bent, , ) = RankCorrelation.spearman(stretched, values(y), counts);
        vm.assertEq(plain, bent);
    }

    function test_spearman_ofATextbookExample() public pure {
        // Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8.
        uint256 x = 10 | (20 << 16) | (30 << 32) | (40 << 48) | (50 << 64);
        uint256 y = 2 | (1 << 16) | (400 << 32) | (3 << 48) | (500 << 64);
        (int256 ppm, , ) = RankCorrelation.spearman(x, y, lanes(0x1f));
        vm.assertEq(ppm, int256(800_000));
        (ppm, , ) = RankCorrelation.spearman(x, x, ALL);
        vm.assertEq(ppm, int256(1e6));
    }
}
