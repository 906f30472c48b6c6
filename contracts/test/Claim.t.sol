// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract ClaimTest is Setup {
    bytes private _call = abi.encodeCall(IFederation.claim, ());

    function setUp() public {
        deployRunning(tiny(), 4);
        fund(100 ether);
    }

    function testFuzz_claim_paysTheCredit(uint256 pool, uint32 elapsed) public {
        fund(bound(pool, 0, 2 ** 100));
        jump(bound(uint256(elapsed), 1, type(uint32).max));
        runWindow();
        uint256 credits = federation.head().credits;
        address[5] memory paid = [
            trainers[0],
            validators[0],
            validators[1],
            validators[2],
            validators[3]
        ];
        for (uint256 i = 0; i < 5; ++i) {
            uint256 credit = federation.participant(paid[i]).credit;
            vm.assertGt(credit, 0);
            vm.expectEmit(address(federation));
            emit IFederation.Claimed(paid[i], credit);
            vm.prank(paid[i]);
            federation.claim();
            vm.assertEq(paid[i].balance, credit);
            credits -= credit;
            vm.assertEq(federation.head().credits, credits);
            vm.assertEq(federation.participant(paid[i]).credit, 0);
            refuses(paid[i], _call, abi.encodeWithSelector(IFederation.NothingToPay.selector));
        }
        vm.assertEq(credits, 0);
        checkMoney();
    }

    function test_claim_refusesWhoHasNothing() public {
        bytes memory refusal = abi.encodeWithSelector(IFederation.NothingToPay.selector);
        refuses(trainers[0], _call, refusal);
        refuses(address(this), _call, refusal);
    }

    function test_claim_paysWhoHasLeft() public {
        jump(1 days);
        runWindow();
        uint256 credit = federation.participant(trainers[0]).credit;
        vm.prank(trainers[0]);
        federation.requestExit();
        jump(7 days + 1);
        vm.prank(trainers[0]);
        federation.withdraw();
        vm.prank(trainers[0]);
        federation.claim();
        vm.assertEq(trainers[0].balance, STAKE + credit);
        checkMoney();
    }

    function test_claim_saysWhenTheRecipientRefuses() public {
        joinAs(address(this), TRAINER, STAKE);
        jump(1 days);
        submitAs(address(this));
        judge();
        uint256 credit = federation.participant(address(this)).credit;
        vm.assertGt(credit, 0);
        bytes4 refusal = IFederation.TransferFailed.selector;
        refuses(address(this), _call, abi.encodeWithSelector(refusal, address(this), credit));
        vm.assertEq(federation.participant(address(this)).credit, credit);
    }
}
