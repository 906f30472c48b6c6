// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Scores} from "./Scores.sol";
import {Account, Duty, Membership, Seat, Words} from "./Words.sol";

/// @title The validators' seats: who sits where, and who may judge
/// @notice A seat's word has what a turn asks of its holder, so that a turn reads no account.
library Seats {
    using Ledger for Ledger.State;
    using Words for uint256;

    function takeFree(Ledger.State storage s, address validator) internal {
        uint256 membership = s.membership;
        uint256 seats = membership.get(Membership.SEATS);
        uint256 seat = LibBit.ffs(~seats);
        s.membership = membership.set(Membership.SEATS, seats | (1 << seat));
        uint256 account = s.accounts[validator];
        bool isJailed = block.timestamp <= account.get(Account.JAILED_UNTIL);
        s.setSeat(
            seat,
            Words.put(Seat.ID, account.get(Account.ID)) |
                Words.put(Seat.STAKE, account.get(Account.STAKE)) |
                Words.put(Seat.FLAGS, isJailed ? Seat.JAILED : 0)
        );
        s.accounts[validator] = account.set(Account.SEAT, seat + 1);
        s.duties[validator] = s.duties[validator].set(Duty.SEAT, seat + 1);
        s.ballots[validator] = Scores.withSeat(0, seat + 1);
        emit IFederation.SeatTaken(validator, uint8(seat));
    }

    function free(Ledger.State storage s, uint256 seat) internal {
        uint256 membership = s.membership;
        s.membership = membership.set(
            Membership.SEATS,
            membership.get(Membership.SEATS) & ~(1 << seat)
        );
        address validator = s.holderOf(seat);
        s.accounts[validator] = s.accounts[validator].set(Account.SEAT, 0);
        s.duties[validator] = s.duties[validator].set(Duty.SEAT, 0);
        s.ballots[validator] = 0;
        emit IFederation.SeatLeft(validator, uint8(seat));
    }

    function raise(Ledger.State storage s, uint256 seat, uint256 flag) internal {
        uint256 value = s.seatAt(seat);
        s.setSeat(seat, value.set(Seat.FLAGS, value.get(Seat.FLAGS) | flag));
    }

    /// @dev Between windows: the seats of those who leave are freed, and the challenger gets its seat, if it still can
    /// have it.
    function clear(Ledger.State storage s) internal {
        uint256 membership = s.membership;
        if (membership.get(Membership.MOVING) == 0) return;
        uint256 seats = membership.get(Membership.SEATS);
        for (uint256 seat = 0; seats >> seat != 0; ++seat) {
            if (!Ledger.isIn(seats, seat)) continue;
            if (s.seatAt(seat).get(Seat.FLAGS) & Seat.LEAVING != 0) free(s, seat);
        }
        address challenger = address(uint160(membership.get(Membership.CHALLENGER)));
        membership = s.membership.set(Membership.MOVING, 0).set(Membership.CHALLENGER, 0);
        s.membership = membership;
        if (challenger == address(0)) return;
        uint256 account = s.accounts[challenger];
        bool isStaying =
            account.get(Account.EXIT_AT) == 0 && account.get(Account.ROLES) & Ledger.VALIDATOR != 0;
        if (!isStaying || account.get(Account.SEAT) != 0) return;
        if (membership.get(Membership.SEATS) == Ledger.ALL_SEATS) {
            (uint256 seat, uint256 needed) = findCheapest(s);
            if (account.get(Account.STAKE) < needed) return;
            free(s, seat);
        }
        takeFree(s, challenger);
    }

    /// @dev All seats are taken.
    function findCheapest(
        Ledger.State storage s
    ) internal view returns (uint256 cheapest, uint256 needed) {
        uint256 lowest = type(uint256).max;
        for (uint256 seat = 0; seat < Ledger.MAX_SEATS; ++seat) {
            uint256 stake = s.seatAt(seat).get(Seat.STAKE);
            if (stake < lowest) (cheapest, lowest) = (seat, stake);
        }
        needed = lowest + lowest / 10;
    }

    /// @dev But for its holder's sleep.
    function canJudge(
        Ledger.State storage s,
        uint256 seat,
        uint256 minStake
    ) internal view returns (bool) {
        uint256 flags = seat.get(Seat.FLAGS);
        if (flags & Seat.LEAVING != 0 || seat.get(Seat.STAKE) < minStake) return false;
        if (flags & Seat.JAILED == 0) return true;
        uint256 account = s.accounts[s.participants[seat.get(Seat.ID)]];
        return block.timestamp > account.get(Account.JAILED_UNTIL);
    }

    /// @dev Of one whose stake has changed; a seat knows the stake behind it.
    function storeStake(Ledger.State storage s, address who, uint256 account) internal {
        s.accounts[who] = account;
        uint256 seat = account.get(Account.SEAT);
        if (seat == 0) return;
        s.setSeat(seat - 1, s.seatAt(seat - 1).set(Seat.STAKE, account.get(Account.STAKE)));
    }
}
