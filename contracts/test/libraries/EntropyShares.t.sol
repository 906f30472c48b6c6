// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EntropyShares} from "../../libraries/EntropyShares.sol";
import {LowerMedian} from "../../libraries/LowerMedian.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";
import {Test} from "../Vm.sol";

contract EntropySharesTest is Test {
    uint256 private constant WAD = 1e18;
    int256 private constant LN_4 = 1386294361119890619;

    function draw(uint256 seed) private pure returns (uint256[][] memory indicators) {
        indicators = new uint256[][](1 + (seed % 3));
        uint256 n = 1 + ((seed >> 8) % 16);
        for (uint256 k = 0; k < indicators.length; ++k) {
            uint256 scale = 128 + ((seed >> (16 + 8 * k)) % 128);
            indicators[k] = new uint256[](n);
            for (uint256 i = 0; i < n; ++i) {
                uint256 value = uint256(keccak256(abi.encode(seed, k, i)));
                indicators[k][i] = value >> (scale + (value & 7)); // many small ones, few large
            }
        }
    }

    /// The lower median, or zero where all values are the same.
    function medianOf(uint256[] memory values) private pure returns (uint256) {
        if (values.length == 0) return 0;
        (uint256 median, bool even) = LowerMedian.find(values);
        return even ? 0 : median;
    }

    function sharesOf(uint256[][] memory indicators) private pure returns (uint256[] memory) {
        uint256[] memory medians = new uint256[](indicators.length);
        for (uint256 k = 0; k < medians.length; ++k) medians[k] = medianOf(indicators[k]);
        return EntropyShares.shares(indicators, medians);
    }

    function testFuzz_shares_sumToAtMostOneAndNoneToMoreThanTwoParts(uint256 seed) public pure {
        uint256[] memory shares = sharesOf(draw(seed));
        uint256 sum;
        for (uint256 i = 0; i < shares.length; ++i) {
            sum += shares[i];
            if (shares.length > 1) vm.assertLe(shares[i], (2 * WAD) / shares.length);
        }
        vm.assertLe(sum, WAD);
    }

    function testFuzz_shares_giveEveryoneAnEighthOfAnEqualPart(uint256 seed) public pure {
        uint256[] memory shares = sharesOf(draw(seed));
        // At worst one has half the median and all others, but those that keep the median, its double.
        for (uint256 i = 0; i < shares.length; ++i)
            vm.assertGe(shares[i], WAD / (8 * shares.length));
    }

    function testFuzz_shares_growWithEveryIndicator(uint256 seed) public pure {
        uint256[][] memory indicators = draw(seed);
        uint256 n = indicators[0].length;
        vm.assume(n > 1);
        for (uint256 k = 0; k < indicators.length; ++k)
            indicators[k][1] = indicators[k][0] + (seed % 1000);
        uint256[] memory shares = sharesOf(indicators);
        vm.assertGe(shares[1], shares[0]);
    }

    function testFuzz_shares_areEqualForEqualUpdates(uint256 value, uint256 n) public pure {
        n = bound(n, 1, 16);
        uint256[][] memory indicators = new uint256[][](2);
        for (uint256 k = 0; k < 2; ++k) {
            indicators[k] = new uint256[](n);
            for (uint256 i = 0; i < n; ++i) indicators[k][i] = value >> 128;
        }
        uint256[] memory shares = sharesOf(indicators);
        for (uint256 i = 0; i < n; ++i) vm.assertApproxEqAbs(shares[i], WAD / n, 2);
    }

    function test_shares_dropWhatIsAboveTwoParts() public pure {
        uint256[][] memory indicators = new uint256[][](1);
        indicators[0] = new uint256[](16);
        // Median 20; the first would get 40 / 270, more than 2 / 16.
        for (uint256 i = 0; i < 16; ++i)
            indicators[0][i] =
                i == 0
                    ? 90
                    : i < 9
                        ? 20
                        : 10;
        uint256[] memory shares = sharesOf(indicators);
        vm.assertEq(shares[0], WAD / 8);
        vm.assertEq(shares[1], (WAD * 20) / 270);
        vm.assertEq(shares[15], (WAD * 10) / 270);
    }

    function test_shares_areExactWhereTheyCanBe() public pure {
        uint256[][] memory indicators = new uint256[][](1);
        indicators[0] = new uint256[](4);
        (indicators[0][0], indicators[0][1], indicators[0][2], indicators[0][3]) = (3, 2, 2, 1);
        uint256[] memory shares = sharesOf(indicators);
        vm.assertEq(shares[1], WAD / 4);
        vm.assertEq(shares[3], WAD / 8);
    }

    function test_shares_ofNobodyAreNone() public pure {
        uint256[][] memory indicators = new uint256[][](2);
        vm.assertEq(sharesOf(indicators).length, 0);
    }

    function testFuzz_toWeights_sumToAtMostOneWithNoneAboveTwoThirdsIfAnotherCounts(
        uint256 seed
    ) public pure {
        uint256[] memory gains = new uint256[](1 + (seed % 3));
        uint256 counting;
        for (uint256 k = 0; k < gains.length; ++k) {
            gains[k] =
                uint256(keccak256(abi.encode(seed, k))) %
                ((seed >> (8 + 8 * k)) & 1 == 0 ? WAD : 1e9);
            if ((seed >> (40 + k)) & 3 == 0) gains[k] = 0;
            if (gains[k] != 0) ++counting;
        }
        EntropyShares.toWeights(gains);
        uint256 sum;
        for (uint256 k = 0; k < gains.length; ++k) {
            sum += gains[k];
            if (counting > 1) vm.assertLe(gains[k], (WAD * 2) / 3);
        }
        vm.assertLe(sum, WAD);
        vm.assertGe(sum, WAD - 3);
    }

    function test_toWeights_giveTheExcessProRata() public pure {
        uint256[] memory gains = new uint256[](3);
        (gains[0], gains[1], gains[2]) = (3e15, 90e15, 1e15);
        EntropyShares.toWeights(gains);
        vm.assertEq(gains[0], uint256(0.25e18));
        vm.assertEq(gains[1], (WAD * 2) / 3);
        vm.assertApproxEqAbs(gains[2], WAD / 12, 1);
    }

    function test_toWeights_stayWhereNoOtherCounts() public pure {
        uint256[] memory gains = new uint256[](2);
        gains[1] = 5e15;
        EntropyShares.toWeights(gains);
        vm.assertEq(gains[0], uint256(0));
        vm.assertEq(gains[1], WAD);
    }

    function test_winsorise_clipsToHalfAndDoubleTheMedian() public pure {
        uint256[] memory values = new uint256[](4);
        (values[0], values[1], values[2], values[3]) = (100, 7, 10, 4); // lower median 7
        (uint256 sum, ) = EntropyShares.winsorise(values, 7, LN_4);
        vm.assertEq(values[0], uint256(28));
        vm.assertEq(values[1], uint256(14));
        vm.assertEq(values[2], uint256(20));
        vm.assertEq(values[3], uint256(8));
        vm.assertEq(sum, uint256(70));
    }

    function testFuzz_winsorise_gainsLessThanOneAndNothingFromWhatIsEven(uint256 seed) public pure {
        uint256[] memory values = draw(seed)[0];
        uint256 n = values.length;
        if (n < 2) return;
        int256 logN = FixedPointMathLib.lnWad(int256(n * WAD));
        (uint256 sum, uint256 gain) = EntropyShares.winsorise(values, medianOf(values), logN);
        vm.assertLt(gain, WAD);
        int256 entropy;
        for (uint256 i = 0; i < n; ++i) {
            int256 p = int256((values[i] * WAD) / sum);
            entropy -= (p * FixedPointMathLib.lnWad(p)) / logN;
        }
        if (gain != 0) vm.assertApproxEqAbs(gain, uint256(int256(WAD) - entropy), 1e5);
        for (uint256 i = 0; i < n; ++i) values[i] = seed >> 128;
        uint256[] memory same = LibSort.copy(values);
        (sum, gain) = EntropyShares.winsorise(values, values[0], logN);
        vm.assertEq(sum, n * values[0]);
        vm.assertEq(gain, uint256(0));
        (sum, gain) = EntropyShares.winsorise(same, 0, logN);
        vm.assertEq(sum, n * same[0]);
        vm.assertEq(gain, uint256(0));
    }

    function test_shares_matchTheReference() public view {
        string memory json = vm.readFile("tests/vectors/entropy_shares.json");
        for (uint256 c = 0; c < 40; ++c) {
            string memory path = string.concat("$.cases[", vm.toString(c), "]");
            uint256[] memory values = vm.parseJsonUintArray(json, string.concat(path, ".values"));
            uint256[] memory expected = vm.parseJsonUintArray(json, string.concat(path, ".shares"));
            uint256[][] memory indicators = new uint256[][](
                vm.parseJsonUint(json, string.concat(path, ".indicators"))
            );
            for (uint256 k = 0; k < indicators.length; ++k) {
                indicators[k] = new uint256[](expected.length);
                for (uint256 i = 0; i < expected.length; ++i)
                    indicators[k][i] = values[k * expected.length + i];
            }
            uint256[] memory shares = sharesOf(indicators);
            vm.assertEq(shares.length, expected.length);
            // 1e-9 of one: a thousandth of the ppm that shares are cut to.
            for (uint256 i = 0; i < shares.length; ++i)
                vm.assertApproxEqAbs(shares[i], expected[i], 1e9, path);
        }
    }
}
