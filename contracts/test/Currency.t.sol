// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IFederation} from "../IFederation.sol";
import {Coin} from "./Purse.sol";
import {Reenterer, Refuser} from "./Receivers.sol";
import {Setup} from "./Setup.sol";
import {
    FeeToken,
    HookedToken,
    PausableToken,
    RebasingToken,
    RefusingToken,
    SilentToken
} from "./Tokens.sol";

/// @title Stakes and rewards in a token, whatever token it is
/// @notice `found` gives a federation where all seven ways of money in and out are open: a newcomer, stake, pool,
/// credits, a stake to be withdrawn, slashed money and, after `close`, a pool to be swept.
abstract contract CurrencyLife is Setup {
    address internal constant NEWCOMER = address(0x3E3);
    uint256 internal constant POOL = 100 ether;

    address internal coin;

    function found(string memory token) internal {
        coin = create(string.concat("Tokens.sol:", token), "");
        IFederation.Parameters memory p = tiny();
        p.currency = coin;
        deployRunning(p, 4);
        joinTrainers(1);
        fund(POOL);
        jump(1 hours);
        runWindow();
        allWillScore(MALFORMED);
        submitAs(trainers[1]);
        scoreAll();
        tally();
        allWillScore(int16(100));
        vm.prank(trainers[2]);
        federation.requestExit();
        jump(7 days + 1);
        vm.assertEq(federation.head().slashed, STAKE / 50);
        vm.assertGt(federation.participant(validators[0]).credit, 0);
        checkMoney();
    }

    function join() internal pure returns (bytes memory) {
        return abi.encodeCall(IFederation.join, (TRAINER, bytes32(0), STAKE));
    }

    function topUp(uint256 amount) internal pure returns (bytes memory) {
        return abi.encodeCall(IFederation.topUp, (amount));
    }

    function close() internal {
        vm.prank(owner);
        federation.close();
    }

    /// @notice The same refusal of everything that would bring money in.
    function refusesIn(bytes memory refusal) internal {
        endow(NEWCOMER, STAKE);
        refuses(NEWCOMER, join(), refusal);
        endow(validators[0], STAKE);
        refuses(validators[0], topUp(STAKE), refusal);
        endow(owner, STAKE);
        refuses(owner, abi.encodeCall(IFederation.fund, (STAKE)), refusal);
    }

    /// @dev What each way out would pay; the pool has to be closed.
    function amountsOut() internal view returns (uint256[4] memory) {
        IFederation.Head memory h = federation.head();
        uint256 credit = federation.participant(validators[0]).credit;
        return [credit, STAKE, h.slashed, h.pool];
    }

    function callsOut() internal view returns (address[4] memory who, bytes[4] memory calls) {
        who = [validators[0], trainers[2], address(this), address(this)];
        calls = [
            abi.encodeCall(IFederation.claim, ()),
            abi.encodeCall(IFederation.withdraw, ()),
            abi.encodeCall(IFederation.sweepSlashed, ()),
            abi.encodeCall(IFederation.sweepPool, ())
        ];
    }

    /// @notice The same refusal of everything that would pay money out; nothing is forgotten by it.
    function refusesOut(bytes memory refusal) internal {
        bytes32 before = keccak256(abi.encode(federation.head()));
        (address[4] memory who, bytes[4] memory calls) = callsOut();
        for (uint256 i = 0; i < 4; ++i) refuses(who[i], calls[i], refusal);
        vm.assertEq(keccak256(abi.encode(federation.head())), before, "and all is as it was");
    }

    /// @notice All seven ways, to the unit. receives: how much of an amount paid out arrives.
    function movesAll() internal {
        uint256 held = purseOf(address(federation));
        joinAs(NEWCOMER, TRAINER, STAKE);
        vm.assertEq(federation.participant(NEWCOMER).stake, STAKE);
        endow(validators[0], 7);
        vm.prank(validators[0]);
        federation.topUp(7);
        vm.assertEq(federation.participant(validators[0]).stake, STAKE + 7);
        fund(5);
        vm.assertEq(purseOf(address(federation)), held + STAKE + 12);
        vm.assertEq(purseOf(NEWCOMER) + purseOf(validators[0]) + purseOf(owner), 0);
        checkMoney();

        close();
        uint256[4] memory amounts = amountsOut();
        address[4] memory to = [validators[0], trainers[2], sink, treasury];
        (address[4] memory who, bytes[4] memory calls) = callsOut();
        for (uint256 i = 0; i < 4; ++i) {
            uint256 before = purseOf(to[i]);
            vm.prank(who[i]);
            (bool done, ) = address(federation).call(calls[i]);
            vm.assertTrue(done);
            vm.assertEq(purseOf(to[i]) - before, amounts[i], "exactly what was due");
            checkMoney();
        }
        IFederation.Head memory h = federation.head();
        vm.assertEq(uint256(h.pool) + h.slashed, 0);
    }

    function wrong(uint256 moved, uint256 asked) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IFederation.WrongAmount.selector, moved, asked);
    }
}

contract CurrencyTest is CurrencyLife {
    // ----- Good ones -----

    function test_aPlainToken_movesInAndOutToTheUnit() public {
        found("PlainToken");
        movesAll();
        vm.assertEq(address(federation).balance, 0, "and no native money");
    }

    function test_aTokenThatReturnsNothing_movesLikeAnyOther() public {
        found("SilentToken");
        movesAll();
    }

    function test_aTokenWithHooks_movesLikeAnyOther() public {
        found("HookedToken");
        movesAll();
    }

    function test_windows_payInTheToken() public {
        coin = create("Tokens.sol:PlainToken", "");
        IFederation.Parameters memory p = usual();
        p.currency = coin;
        p.minStake = 50e6; // 50 of a token with six decimals
        p.rewardRate = 1000;
        deployRunning(p, 4);
        fund(1_000e6);
        jump(1 hours);
        runWindow();
        vm.assertEq(federation.head().version, 1);
        uint256 paid = federation.head().credits;
        vm.assertGt(paid, 3e6, "an hour's worth, less what was not earned");
        vm.assertLe(paid, 1000 * (uint256(federation.head().lastFinalSealedAt) - 1_700_000_000));
        for (uint256 i = 0; i < 4; ++i) {
            uint256 credit = federation.participant(validators[i]).credit;
            vm.prank(validators[i]);
            federation.claim();
            vm.assertEq(purseOf(validators[i]), credit);
            vm.assertEq(validators[i].balance, 0);
        }
        checkMoney();
    }

    // ----- What comes along, and what was approved -----

    function test_nativeMoney_isRefusedWithAToken() public {
        found("PlainToken");
        endow(NEWCOMER, STAKE);
        refuses(NEWCOMER, 1, join(), wrong(1, 0));
        refuses(NEWCOMER, STAKE, join(), wrong(STAKE, 0));
        endow(validators[0], 7);
        refuses(validators[0], 7, topUp(7), wrong(7, 0));
        refuses(owner, 7, abi.encodeCall(IFederation.fund, (7)), wrong(7, 0));
    }

    function test_nativeMoneyForcedIn_isNobodys() public {
        found("PlainToken");
        bytes32 before = keccak256(abi.encode(federation.head()));
        vm.deal(address(federation), 5 ether);
        Coin(coin).mint(address(federation), 3 ether);
        vm.assertEq(keccak256(abi.encode(federation.head())), before);
        close();
        uint256 pool = federation.head().pool;
        federation.sweepPool();
        vm.assertEq(purseOf(treasury), pool);
        vm.assertEq(treasury.balance, 0);
        IFederation.Head memory h = federation.head();
        uint256 owed = uint256(h.stakes) + h.credits + h.slashed;
        vm.assertEq(purseOf(address(federation)), owed + 3 ether);
    }

    function testFuzz_lessApprovedOrOwned_isRefusedByTheToken(
        uint96 approved,
        uint96 owned
    ) public {
        found("PlainToken");
        vm.assume(approved < STAKE || owned < STAKE);
        Coin(coin).mint(NEWCOMER, owned);
        vm.prank(NEWCOMER);
        Coin(coin).approve(address(federation), approved);
        bytes memory refusal =
            approved < STAKE
                ? abi.encodeWithSelector(
                    IERC20Errors.ERC20InsufficientAllowance.selector,
                    federation,
                    approved,
                    STAKE
                )
                : abi.encodeWithSelector(
                    IERC20Errors.ERC20InsufficientBalance.selector,
                    NEWCOMER,
                    owned,
                    STAKE
                );
        refuses(NEWCOMER, join(), refusal);
        vm.assertEq(federation.participant(NEWCOMER).roles, 0);
    }

    function testFuzz_amountsBeyondAnySum_areRefusedByName(uint256 amount) public {
        amount = bound(amount, 2 ** 128, type(uint256).max);
        found("PlainToken");
        bytes4 tooLarge = IFederation.AmountTooLarge.selector;
        bytes memory refusal = abi.encodeWithSelector(tooLarge, amount, type(uint128).max);
        refuses(validators[0], topUp(amount), refusal);
        refuses(owner, abi.encodeCall(IFederation.fund, (amount)), refusal);
        refuses(NEWCOMER, abi.encodeCall(IFederation.join, (TRAINER, bytes32(0), amount)), refusal);
    }

    function test_multicall_takesEachPaymentFromTheToken() public {
        found("PlainToken");
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (topUp(3), topUp(4));
        bytes memory both = abi.encodeCall(IFederation.multicall, (calls));
        endow(validators[0], 6);
        refuses(
            validators[0],
            both,
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector,
                federation,
                3,
                4
            )
        );
        endow(validators[0], 7);
        refuses(validators[0], 1, both, ""); // still takes no value
        vm.prank(validators[0]);
        (bool done, ) = address(federation).call(both);
        vm.assertTrue(done);
        vm.assertEq(federation.participant(validators[0]).stake, STAKE + 7);
        checkMoney();
    }

    // ----- Bad ones -----

    function test_aFeeFromWhatArrives_isRefusedOnTheWayIn() public {
        found("FeeToken");
        FeeToken(coin).setFee(10_000, false);
        refusesIn(wrong((STAKE * 99) / 100, STAKE));
        // On the way out it is the recipient's: the federation pays what it owes, and no more.
        close();
        uint256 credit = federation.participant(validators[0]).credit;
        uint256 before = purseOf(validators[0]);
        vm.prank(validators[0]);
        federation.claim();
        vm.assertEq(purseOf(validators[0]) - before, credit - credit / 100);
        checkMoney();
    }

    function test_aFeeOnTop_isNotPaidFromOthersMoney() public {
        found("FeeToken");
        FeeToken(coin).setFee(10_000, true);
        close();
        uint256[4] memory amounts = amountsOut();
        (address[4] memory who, bytes[4] memory calls) = callsOut();
        for (uint256 i = 0; i < 4; ++i) {
            refuses(who[i], calls[i], wrong(amounts[i] + amounts[i] / 100, amounts[i]));
        }
        checkMoney();
        FeeToken(coin).setFee(0, false);
        vm.prank(validators[0]);
        federation.claim();
        checkMoney();
    }

    function test_falseAsAnAnswer_isARefusal() public {
        found("RefusingToken");
        RefusingToken(coin).refuse();
        bytes4 failed = SafeERC20.SafeERC20FailedOperation.selector;
        bytes memory refusal = abi.encodeWithSelector(failed, coin);
        refusesIn(refusal);
        close();
        refusesOut(refusal);
    }

    function test_silence_isNoAgreement() public {
        found("SilentToken");
        refuses(NEWCOMER, join(), abi.encodeWithSelector(SilentToken.TooLittle.selector));
    }

    function test_balancesThatRoundAway_areRefused() public {
        found("RebasingToken");
        RebasingToken(coin).rebase(3e18 - 1);
        Coin(coin).mint(NEWCOMER, 2 * STAKE);
        vm.prank(NEWCOMER);
        Coin(coin).approve(address(federation), STAKE);
        vm.prank(NEWCOMER);
        (bool done, bytes memory answer) = address(federation).call(join());
        vm.assertFalse(done);
        vm.assertEq(bytes4(answer), IFederation.WrongAmount.selector);
        vm.assertEq(federation.participant(NEWCOMER).roles, 0);
    }

    function test_aPausedToken_stopsPaymentsAndNothingElse() public {
        found("PausableToken");
        PausableToken(coin).pause();
        bytes memory refusal = abi.encodeWithSelector(Pausable.EnforcedPause.selector);
        refusesIn(refusal);
        uint256 version = federation.head().version;
        uint256 credits = federation.head().credits;
        submitAs(trainers[0]);
        judge();
        vm.assertEq(federation.head().version, version + 1, "judged, paid for and settled");
        vm.assertGt(federation.head().credits, credits);
        allWillScore(MALFORMED);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        vm.assertEq(federation.head().slashed, STAKE / 25, "slashed too");
        vm.prank(validators[3]);
        federation.requestExit();
        close();
        refusesOut(refusal);
        PausableToken(coin).unpause();
        (address[4] memory who, bytes[4] memory calls) = callsOut();
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(who[i]);
            (bool done, ) = address(federation).call(calls[i]);
            vm.assertTrue(done, "all of it waited");
        }
        checkMoney();
    }

    function test_aTokenThatIsGone_stopsPaymentsAndNothingElse() public {
        found("PlainToken");
        vm.etch(coin, "");
        uint256 version = federation.head().version;
        submitAs(trainers[0]);
        judge();
        vm.assertEq(federation.head().version, version + 1);
        close();
        (address[4] memory who, bytes[4] memory calls) = callsOut();
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(who[i]);
            (bool done, ) = address(federation).call(calls[i]);
            vm.assertFalse(done);
        }
    }

    // ----- Those who call back -----

    function test_whoCallsBackWhenPaidOrPaying_getsNothingMore() public {
        found("HookedToken");
        Reenterer greedy = new Reenterer();
        HookedToken(coin).register(address(greedy));
        bytes4 guard = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        joinAs(address(greedy), VALIDATOR, STAKE);
        validators.push(address(greedy));
        vm.assertEq(greedy.attempts(), 8, "while its stake was taken");
        endow(address(greedy), 3);
        vm.prank(address(greedy));
        federation.topUp(1);
        vm.prank(address(greedy));
        Coin(coin).approve(address(federation), 2);
        vm.prank(address(greedy));
        federation.fund(2);
        vm.assertEq(greedy.attempts(), 24);
        jump(1 hours);
        submitAs(trainers[0]);
        judge();
        uint256 credit = federation.participant(address(greedy)).credit;
        vm.assertGt(credit, 0);
        vm.prank(address(greedy));
        federation.claim();
        vm.assertEq(purseOf(address(greedy)), credit);
        vm.prank(address(greedy));
        federation.requestExit();
        jump(7 days + 1);
        vm.prank(address(greedy));
        federation.withdraw();
        vm.assertEq(purseOf(address(greedy)), credit + STAKE + 1);
        vm.assertEq(greedy.attempts(), 40);
        vm.assertEq(greedy.successes(), 0, "each in vain");
        vm.assertEq(greedy.refusal(), abi.encodeWithSelector(guard));
        checkMoney();
    }

    function test_sweeps_toThoseWhoCallBack_payOnce() public {
        coin = create("Tokens.sol:HookedToken", "");
        Reenterer greedy = new Reenterer();
        HookedToken(coin).register(address(greedy));
        IFederation.Parameters memory p = tiny();
        (p.currency, p.treasury, p.slashSink) = (coin, address(greedy), address(greedy));
        deployRunning(p, 4);
        fund(POOL);
        allWillScore(MALFORMED);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        federation.sweepSlashed();
        vm.assertEq(purseOf(address(greedy)), STAKE / 50);
        close();
        federation.sweepPool();
        vm.assertEq(purseOf(address(greedy)), STAKE / 50 + POOL);
        vm.assertEq(greedy.attempts(), 16);
        vm.assertEq(greedy.successes(), 0);
        checkMoney();
    }

    function test_whoRefusesTheToken_harmsNobodyElse() public {
        found("HookedToken");
        Refuser refuser = new Refuser();
        HookedToken(coin).register(address(refuser));
        joinAs(address(refuser), VALIDATOR, STAKE);
        validators.push(address(refuser));
        jump(1 hours);
        submitAs(trainers[0]);
        judge();
        uint256 credit = federation.participant(address(refuser)).credit;
        bytes memory refusal = abi.encodeWithSelector(Refuser.Refused.selector, credit);
        refuses(address(refuser), abi.encodeCall(IFederation.claim, ()), refusal);
        vm.assertEq(federation.participant(address(refuser)).credit, credit);
        vm.prank(validators[0]);
        federation.claim();
        checkMoney();
    }
}
