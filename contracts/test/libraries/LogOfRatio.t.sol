// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LogOfRatio} from "../../libraries/LogOfRatio.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {Test} from "../Vm.sol";

contract LogOfRatioTest is Test {
    function testFuzz_ln_isTheLogarithm(uint256 c, uint256 x) public pure {
        c = bound(c, 2, 2 ** 150);
        x = bound(x, (c + 1) / 2, 2 * c);
        int256 ln = (LogOfRatio.ln(x, c) * 1e18) >> LogOfRatio.BITS;
        int256 slow = FixedPointMathLib.lnWad(int256((((x << 100) / c) * 1e18) >> 100));
        vm.assertLe(FixedPointMathLib.abs(ln - slow), uint256(10_000));
    }

    function test_ln_atTheEndsAndTheMiddle() public pure {
        int256 ln2 = 54916777467707473351141471128; // times 2^96
        vm.assertLe(FixedPointMathLib.abs(LogOfRatio.ln(20, 10) - ln2), uint256(2 ** 96) / 1e14);
        vm.assertLe(FixedPointMathLib.abs(LogOfRatio.ln(5, 10) + ln2), uint256(2 ** 96) / 1e14);
        vm.assertEq(LogOfRatio.ln(7, 7), int256(0));
    }

    function testFuzz_ln_isOddInTheRatio(uint256 c, uint256 x) public pure {
        c = bound(c, 2, 2 ** 149);
        x = bound(x, (c + 1) / 2, 2 * c);
        vm.assertEq(LogOfRatio.ln(x, c), -LogOfRatio.ln(c, x));
    }
}
