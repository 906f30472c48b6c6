// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract ExitTest is Setup {
    bytes private _request = abi.encodeCall(IFederation.requestExit, ());
    bytes private _withdraw = abi.encodeCall(IFederation.withdraw, ());

    function setUp() public {
        deployRunning(tiny(), 5);
    }

    function _leave(address who) private returns (uint256 withdrawableAt) {
        vm.prank(who);
        federation.requestExit();
        withdrawableAt = federation.participant(who).withdrawableAt;
    }

    function _stillUnjudged(address who, uint256 window) private {
        bytes4 refusal = IFederation.StillUnjudged.selector;
        refuses(who, _withdraw, abi.encodeWithSelector(refusal, window));
    }

    // ----- The request -----

    function test_requestExit_saysWhenTheStakeIsFree() public {
        jump(33);
        vm.expectEmit(address(federation));
        emit IFederation.ExitRequested(trainers[0], time() + 7 days + 1);
        _leave(trainers[0]);
        IFederation.Participant memory p = federation.participant(trainers[0]);
        vm.assertEq(p.exitAt, time());
        vm.assertEq(p.withdrawableAt, time() + 7 days + 1);
        vm.assertEq(p.roles, TRAINER, "until it withdraws");
        vm.assertEq(federation.head().trainers, 1);
    }

    function test_requestExit_refusesASecondTime() public {
        _leave(trainers[0]);
        uint256 since = time();
        jump(5);
        bytes4 refusal = IFederation.AlreadyLeaving.selector;
        refuses(trainers[0], _request, abi.encodeWithSelector(refusal, since));
    }

    function test_requestExit_refusesWhoIsNotIn() public {
        bytes4 refusal = IFederation.NotParticipant.selector;
        refuses(address(this), _request, abi.encodeWithSelector(refusal, address(this)));
    }

    // ----- The stake -----

    function testFuzz_withdraw_paysTheStakeBackAfterUnbonding(uint96 more) public {
        more = uint96(bound(uint256(more), 0, 1e27));
        vm.deal(trainers[0], more);
        vm.prank(trainers[0]);
        federation.topUp{value: more}(more);
        uint256 withdrawableAt = _leave(trainers[0]);
        uint256 stakes = federation.head().stakes;
        vm.warp(withdrawableAt - 1);
        bytes4 refusal = IFederation.StillBonded.selector;
        refuses(trainers[0], _withdraw, abi.encodeWithSelector(refusal, withdrawableAt - 1));
        vm.warp(withdrawableAt);
        uint256 stake = uint256(STAKE) + more;
        vm.expectEmit(address(federation));
        emit IFederation.Withdrawn(trainers[0], stake);
        vm.prank(trainers[0]);
        federation.withdraw();

        vm.assertEq(trainers[0].balance, stake);
        vm.assertEq(federation.head().stakes, stakes - stake);
        IFederation.Participant memory p = federation.participant(trainers[0]);
        vm.assertEq(uint256(p.roles) + p.stake + p.exitAt + p.withdrawableAt, 0);
        bytes4 again = IFederation.NotLeaving.selector;
        refuses(trainers[0], _withdraw, abi.encodeWithSelector(again, trainers[0]));
        checkMoney();
    }

    function test_withdraw_refusesWhoStays() public {
        bytes4 refusal = IFederation.NotLeaving.selector;
        refuses(trainers[0], _withdraw, abi.encodeWithSelector(refusal, trainers[0]));
        refuses(address(this), _withdraw, abi.encodeWithSelector(refusal, address(this)));
    }

    function test_withdraw_refusesWhileAnUpdateIsUnjudged() public {
        submitAs(trainers[0]);
        vm.warp(_leave(trainers[0]));
        _stillUnjudged(trainers[0], 1);
        federation.discard(1);
        vm.prank(trainers[0]);
        federation.withdraw();
    }

    function test_withdraw_refusesWhileAnUpdateWaitsInAnOpenWindow() public {
        deployRunning(usual(), 4);
        submitAs(trainers[0]);
        vm.warp(_leave(trainers[0]));
        _stillUnjudged(trainers[0], 1);
        federation.seal();
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.prank(trainers[0]);
        federation.withdraw();
        vm.assertEq(trainers[0].balance, STAKE);
    }

    function test_withdraw_refusesWhileItIsToJudge() public {
        fillWindow();
        vm.warp(_leave(validators[2]));
        _stillUnjudged(validators[2], 1);
        federation.discard(1);
        vm.prank(validators[2]);
        federation.withdraw();
        vm.assertEq(validators[2].balance, STAKE);
        vm.assertEq(federation.seatOf(2), address(0));
    }

    function test_withdraw_leavesTheSeatWhereNoTurnCame() public {
        vm.warp(_leave(validators[2]));
        vm.assertEq(federation.seatOf(2), validators[2]);
        vm.expectEmit(address(federation));
        emit IFederation.SeatLeft(validators[2], 2);
        vm.prank(validators[2]);
        federation.withdraw();
        vm.assertEq(federation.seatOf(2), address(0));
        vm.assertEq(federation.participant(validators[2]).seat, 255);
        joinValidator(STAKE);
        vm.assertEq(federation.participant(validators[5]).seat, 2);
    }

    function test_withdraw_paysWhatASlashLeft() public {
        allWillScore(MALFORMED);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        vm.warp(_leave(trainers[0]));
        vm.prank(trainers[0]);
        federation.withdraw();
        vm.assertEq(trainers[0].balance, STAKE - STAKE / 50);
        checkMoney();
    }

    function test_withdraw_saysWhenTheRecipientRefuses() public {
        // This contract has no receive function.
        joinAs(address(this), TRAINER, STAKE);
        vm.warp(_leave(address(this)));
        bytes4 refusal = IFederation.TransferFailed.selector;
        refuses(address(this), _withdraw, abi.encodeWithSelector(refusal, address(this), STAKE));
        vm.assertEq(federation.participant(address(this)).stake, STAKE);
    }
}
