// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";

/// @title Shares by the entropy weight method
/// @notice Several indicators, all benefits, say how much each of n updates should count. An indicator
/// that tells the updates apart (low entropy) weighs more than one that is even, none more than 2/3;
/// values are winsorised to [1/2, 2] times their lower median, and no update gets more than 2/n, so
/// that no single value lets its owner take the model over.
/// @dev WAD fixed point (1e18 is one). Values are below 2^128 and there are at most 2^16 updates, so that
/// products with WAD and their sums stay within 256 bits: the arithmetic is unchecked. Indices run below
/// the length of arrays that are all of the same length: access is unchecked too.
library EntropyShares {
    using DynamicArrayLib for uint256[];
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;

    uint256 internal constant WAD = 1e18;
    /// @dev Below this 1 - E an indicator counts as even. Rounding is below 1e-16.
    int256 private constant EVEN = 1e9;
    uint256 private constant MOST = (WAD * 2) / 3;

    /// @notice The shares of n updates, in WAD; they sum to at most WAD.
    /// @param indicators At least one, each the values of the n updates. Used as room to work in.
    function shares(uint256[][] memory indicators) internal pure returns (uint256[] memory result) {
        uint256 n = indicators[0].length;
        result = new uint256[](n);
        if (n == 1) result[0] = WAD;
        if (n <= 1) return result;

        uint256[] memory weights = new uint256[](indicators.length);
        for (uint256 k = 0; k < weights.length; ++k) {
            bool even = toProportions(indicators[k]);
            weights[k] = even ? 0 : gain(indicators[k]);
        }
        toWeights(weights);
        for (uint256 k = 0; k < weights.length; ++k) _addTimes(result, indicators[k], weights[k]);
        unchecked {
            // Weights and proportions sum to at most WAD each, so the results to at most WAD.
            uint256 most = (2 * WAD) / n;
            for (uint256 i = 0; i < n; ++i) result.set(i, (result.get(i) / WAD).min(most));
        }
    }

    /// @notice Turns values into what part of their sum each is, once winsorised, in place.
    /// @return even Whether they are all the same, which spares taking their logarithms.
    function toProportions(uint256[] memory values) internal pure returns (bool even) {
        uint256 n = values.length;
        uint256[] memory sorted = LibSort.copy(values);
        LibSort.insertionSort(sorted);
        unchecked {
            uint256 median = sorted[(n - 1) / 2];
            // A median of zero makes every value zero, winsorised.
            even = sorted[0] == sorted[n - 1] || median == 0;
            uint256 most = 4 * median;
            uint256 sum;
            for (uint256 i = 0; i < n; ++i) {
                // Twice the value, so that half the median is exact.
                uint256 x = even ? 1 : (2 * values.get(i)).clamp(median, most);
                values.set(i, x);
                sum += x;
            }
            // sum >= n > 0
            for (uint256 i = 0; i < n; ++i) values.set(i, (values.get(i) * WAD).rawDiv(sum));
        }
    }

    /// @notice 1 - E of n >= 2 proportions, E their entropy over that of n equal parts; 0 if below `EVEN`.
    function gain(uint256[] memory proportions) internal pure returns (uint256) {
        uint256 n = proportions.length;
        int256 sum; // of p ln p, times WAD^2
        unchecked {
            // Safe: winsorised, p >= 1 / (4 n) > 0, so its logarithm exists and is small.
            for (uint256 i = 0; i < n; ++i) {
                int256 p = int256(proportions.get(i));
                sum += p * p.lnWad();
            }
            int256 result = int256(WAD) + sum / int256(n * WAD).lnWad(); // ln n > 0
            return result < EVEN ? 0 : uint256(result);
        }
    }

    /// @notice Turns gains into weights that sum to at most WAD, in place: pro rata, equal if all are
    /// zero; what one has above 2/3 goes pro rata to the others, and stays where they have none.
    function toWeights(uint256[] memory gains) internal pure {
        uint256 count = gains.length;
        uint256 sum;
        uint256 top;
        unchecked {
            for (uint256 k = 0; k < count; ++k) {
                sum += gains[k];
                if (gains[k] > gains[top]) top = k;
            }
            uint256 others = sum - gains[top];
            bool capped = others != 0 && gains[top] * WAD > MOST * sum;
            for (uint256 k = 0; k < count; ++k) {
                if (sum == 0) gains[k] = WAD / count;
                else if (!capped) gains[k] = (gains[k] * WAD) / sum;
                else if (k == top) gains[k] = MOST;
                else gains[k] = (gains[k] * (WAD - MOST)) / others;
            }
        }
    }

    function _addTimes(uint256[] memory to, uint256[] memory values, uint256 factor) private pure {
        unchecked {
            for (uint256 i = 0; i < to.length; ++i) to.set(i, to.get(i) + values.get(i) * factor);
        }
    }
}
