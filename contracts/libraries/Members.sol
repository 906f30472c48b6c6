// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Reputation} from "./Reputation.sol";
import {Seats} from "./Seats.sol";
import {Account, Duty, Membership, Merit, Now, Round, Seat, Service, Words} from "./Words.sol";

/// @title Who takes part: joining, staking, leaving, taking a seat
/// @notice A part of `Federation.sol`, linked, since one contract may not have all the code: it works on the
/// federation's own state, and its events are the federation's. `IFederation.sol` specifies what it does.
library Members {
    using Ledger for Ledger.State;
    using Words for uint256;

    /// @notice The caller becomes a participant; its money is taken.
    /// @return How many trainers there are now.
    function join(
        Ledger.State storage s,
        uint256 roles,
        bytes32 profile,
        uint256 stake,
        uint256 minStake
    ) external returns (uint256) {
        if (s.now_.get(Now.FLAGS) & Now.CLOSED != 0) revert IFederation.IsClosed();
        if (roles == 0 || roles > Ledger.TRAINER + Ledger.VALIDATOR)
            revert IFederation.InvalidRoles(uint8(roles));
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.ROLES) != 0) revert IFederation.AlreadyParticipant(msg.sender);
        uint256 membership = s.membership;
        uint256 id = account.get(Account.ID);
        if (id == 0) {
            id = membership.get(Membership.PARTICIPANTS) + 1;
            if (id > Ledger.MAX_PARTICIPANTS)
                revert IFederation.TooManyParticipants(Ledger.MAX_PARTICIPANTS);
            membership = membership.set(Membership.PARTICIPANTS, id);
            account = Words.put(Account.ID, id);
            s.participants[id] = msg.sender;
            s.setMerit(id, Words.put(Merit.REPUTATION, Reputation.START));
            s.setService(id, Words.put(Service.REPUTATION, Reputation.START));
        }
        account = _addStake(s, account, stake, minStake);
        s.accounts[msg.sender] = account.set(Account.ROLES, roles);
        s.setService(id, s.serviceOf(id).set(Service.MISSED, 0));
        s.profiles[msg.sender] = profile;

        bool isTrainer = roles & Ledger.TRAINER != 0;
        s.duties[msg.sender] = s.duties[msg.sender].set(Duty.ID, id).set(
            Duty.FLAGS,
            isTrainer ? Duty.TRAINS : 0
        );
        uint256 trainers = membership.get(Membership.TRAINERS) + (isTrainer ? 1 : 0);
        s.membership = membership.set(Membership.TRAINERS, trainers);
        emit IFederation.Joined(msg.sender, uint8(roles), stake, profile);
        bool isSeated =
            roles & Ledger.VALIDATOR != 0 && membership.get(Membership.SEATS) != Ledger.ALL_SEATS;
        if (isSeated) Seats.takeFree(s, msg.sender);
        return trainers;
    }

    /// @notice The caller adds to its stake; its money is taken.
    function topUp(Ledger.State storage s, uint256 amount, uint256 minStake) external {
        uint256 account = _loadStaying(s);
        account = _addStake(s, account, amount, minStake);
        Seats.storeStake(s, msg.sender, account);
        uint256 duty = s.duties[msg.sender];
        s.duties[msg.sender] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) & ~Duty.STAKE_SHORT);
        emit IFederation.StakeAdded(msg.sender, amount, account.get(Account.STAKE));
    }

    /// @notice The caller's duties end.
    /// @return How many trainers there are now.
    function requestExit(
        Ledger.State storage s,
        uint256 withdrawableAt
    ) external returns (uint256) {
        uint256 account = _loadStaying(s);
        s.accounts[msg.sender] = account.set(Account.EXIT_AT, block.timestamp);
        uint256 membership = s.membership;
        uint256 seat = account.get(Account.SEAT);
        if (seat != 0) {
            Seats.raise(s, seat - 1, Seat.LEAVING);
            membership = membership.set(Membership.MOVING, 1);
        }
        uint256 trainers = membership.get(Membership.TRAINERS);
        if (account.get(Account.ROLES) & Ledger.TRAINER != 0) {
            uint256 duty = s.duties[msg.sender];
            s.duties[msg.sender] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) & ~Duty.TRAINS);
            membership = membership.set(Membership.TRAINERS, --trainers);
        }
        s.membership = membership;
        emit IFederation.ExitRequested(msg.sender, withdrawableAt);
        return trainers;
    }

    /// @notice The caller's participation ends.
    /// @return Its stake, to be paid.
    function withdraw(Ledger.State storage s, uint256 unbondingPeriod) external returns (uint256) {
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.EXIT_AT) == 0) revert IFederation.NotLeaving(msg.sender);
        uint256 bondedUntil = account.get(Account.EXIT_AT) + unbondingPeriod;
        if (block.timestamp <= bondedUntil) revert IFederation.StillBonded(bondedUntil);
        uint256 last = s.duties[msg.sender].get(Duty.WINDOW);
        if (last >= s.now_.get(Now.JUDGING)) revert IFederation.StillUnjudged(last);
        if (account.get(Account.SEAT) != 0) {
            uint256 round = s.round;
            bool isActive = Ledger.isIn(Round.active(round), account.get(Account.SEAT) - 1);
            if (isActive) revert IFederation.StillUnjudged(round.get(Round.WINDOW));
            Seats.free(s, account.get(Account.SEAT) - 1);
            account = account.set(Account.SEAT, 0);
        }
        uint256 amount = account.get(Account.STAKE);
        s.accounts[msg.sender] = account.set(Account.STAKE, 0).set(Account.ROLES, 0).set(
            Account.EXIT_AT,
            0
        );
        s.stakes -= amount;
        emit IFederation.Withdrawn(msg.sender, amount);
        return amount;
    }

    /// @notice A seat for the caller: a free one, or the cheapest at the next boundary.
    function takeSeat(Ledger.State storage s) external {
        uint256 account = _loadStaying(s);
        if (account.get(Account.ROLES) & Ledger.VALIDATOR == 0)
            revert IFederation.NotValidator(msg.sender);
        if (account.get(Account.SEAT) != 0)
            revert IFederation.AlreadySeated(uint8(account.get(Account.SEAT) - 1));
        bool isBetween = s.round.get(Round.STAGE) == Round.IDLE;
        if (isBetween) Seats.clear(s);
        if (s.accounts[msg.sender].get(Account.SEAT) != 0) return; // it was the challenger
        uint256 membership = s.membership;
        if (membership.get(Membership.SEATS) != Ledger.ALL_SEATS)
            return Seats.takeFree(s, msg.sender);

        (, uint256 needed) = Seats.findCheapest(s);
        uint256 stake = account.get(Account.STAKE);
        address rival = address(uint160(membership.get(Membership.CHALLENGER)));
        if (rival == msg.sender && stake >= needed) return; // it waits already
        uint256 other = s.accounts[rival];
        bool isStaying = other.get(Account.EXIT_AT) == 0 && other.get(Account.SEAT) == 0;
        if (rival != msg.sender && isStaying && other.get(Account.STAKE) >= needed)
            needed = other.get(Account.STAKE) + 1;
        if (stake < needed) revert IFederation.SeatTooCheap(stake, needed);
        emit IFederation.SeatChallenged(msg.sender, stake);
        membership = membership.set(Membership.CHALLENGER, uint160(msg.sender));
        s.membership = membership.set(Membership.MOVING, 1);
        if (isBetween) Seats.clear(s);
    }

    function _addStake(
        Ledger.State storage s,
        uint256 account,
        uint256 amount,
        uint256 minStake
    ) private returns (uint256) {
        uint256 stake = account.get(Account.STAKE) + amount;
        if (stake < minStake) revert IFederation.StakeBelowMinimum(stake, minStake);
        if (stake > type(uint96).max) revert IFederation.AmountTooLarge(stake, type(uint96).max);
        s.stakes += amount;
        return account.set(Account.STAKE, stake);
    }

    function _loadStaying(Ledger.State storage s) private view returns (uint256) {
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.ROLES) == 0) revert IFederation.NotParticipant(msg.sender);
        if (account.get(Account.EXIT_AT) != 0)
            revert IFederation.AlreadyLeaving(account.get(Account.EXIT_AT));
        return account;
    }
}
