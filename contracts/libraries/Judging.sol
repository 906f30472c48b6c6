// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Lanes} from "./Lanes.sol";
import {Ledger} from "./Ledger.sol";
import {Numbers} from "./Numbers.sol";
import {Scores} from "./Scores.sol";
import {Settling} from "./Settling.sol";
import {Tally} from "./Tally.sol";
import {Turns} from "./Turns.sol";
import {
    Agreement,
    Author,
    Duty,
    Merit,
    Now,
    Result,
    Round,
    Rules,
    Tariff,
    Terms,
    Till,
    Words
} from "./Words.sol";

/// @title How windows are judged: turn, tally, settlement
/// @notice A part of `Federation.sol`, linked, since one contract may not have all the code: it works on the
/// federation's own state, and its events are the federation's. `IFederation.sol` specifies what it does.
library Judging {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;
    using Words for uint256;

    /// @notice Go to the next sealed window that can be judged, if there is one. Nothing is being judged.
    function beginTurns(Ledger.State storage s, Rules memory rules) external {
        Turns.begin(s, rules);
    }

    /// @notice The attestation phase is over.
    function settle(Ledger.State storage s, Rules memory rules) external {
        uint256 round = s.round;
        Settling.Settlement memory settlement;
        settlement.isTallied = true;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        settlement.attestersDue = Round.active(round);
        uint256 total = s.weigh(settlement.attestersDue);
        for (uint256 candidate = 0; candidate < round.get(Round.CANDIDATES); ++candidate) {
            uint256 voters = s.votersOf(round, candidate);
            if (voters == settlement.attestersDue) break; // none is wrong
            if (2 * s.weigh(voters) > total)
                settlement.attestersWrong = round.get(Round.ATTESTED) & ~voters;
        }
        if (settlement.isFinal) {
            uint256 till = s.till;
            uint256 elapsed = Settling.sealedAt(s, round) - till.get(Till.LAST_FINAL_SEALED_AT);
            uint256 earned = rules.tariff.get(Tariff.REWARD_RATE) * elapsed;
            uint256 most = till.get(Till.POOL) / 100;
            if (earned > most) earned = most;
            settlement.trainersPot = earned * Settling.TRAINERS_PERCENT;
            settlement.validatorsPot = earned * Settling.VALIDATORS_PERCENT;
            settlement.totalWeight = total;
        } else {
            emit IFederation.WindowVoided(round.get(Round.WINDOW), IFederation.VoidReason.NoQuorum);
        }
        Settling.settle(s, rules, round, settlement);
    }

    /// @notice The window being judged cannot go on.
    function discard(
        Ledger.State storage s,
        Rules memory rules,
        IFederation.VoidReason reason
    ) external {
        uint256 round = s.round;
        Settling.Settlement memory settlement;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        if (!settlement.isFinal) emit IFederation.WindowVoided(round.get(Round.WINDOW), reason);
        Settling.settle(s, rules, round, settlement);
    }

    // ---------------------------------------------------------------------------------------------------- tally

    /// @notice The tally phase has come.
    function tally(
        Ledger.State storage s,
        Rules memory rules,
        uint256[] calldata authors,
        uint256[] calldata validators
    ) external {
        uint256 round = s.round;
        Tally.Case memory input;
        uint256 revealed = Round.revealed(round);
        input.activeWeight = s.weigh(Round.active(round));
        uint256 weight = input.activeWeight;
        if (revealed != Round.active(round)) weight = s.weigh(revealed);
        if (3 * weight < 2 * input.activeWeight)
            revert IFederation.TooFewReveals(weight, input.activeWeight);
        if (authors.length != round.get(Round.UPDATES)) {
            revert IFederation.InvalidAuthors(authors.length, address(0));
        }

        input.rejectBelow = -int256(rules.terms.get(Terms.FLOOR));
        input.trustSamples = rules.terms.get(Terms.TRUST_SAMPLES) != 0;
        _readReveals(s, input, revealed, validators);
        input.authors = _readAuthors(s, round, authors);
        Tally.Outcome memory outcome = Tally.compute(input);

        uint256 window = round.get(Round.WINDOW);
        _storeResults(s, window, outcome, input.authors);
        _storeAgreements(s, outcome, revealed);
        emit IFederation.WindowTallied(
            window,
            uint8(outcome.keep),
            bytes32(outcome.consensus),
            bytes32(outcome.verdicts),
            Numbers.list(outcome.shares),
            outcome.agreement,
            uint32(outcome.overruled)
        );
        round = round.set(Round.STAGE, Round.ATTEST);
        round = round.set(Round.DEADLINE, block.timestamp + rules.terms.get(Terms.ATTEST_PERIOD));
        s.round = round;
        if (Lanes.atLeast(outcome.verdicts, Tally.ACCEPTED) != 0) return;
        Settling.Settlement memory settlement;
        settlement.isTallied = true;
        emit IFederation.WindowVoided(window, IFederation.VoidReason.Barren);
        Settling.settle(s, rules, round, settlement);
    }

    /// @dev The index is below the length.
    function _addressAt(
        uint256[] calldata words,
        uint256 index
    ) private pure returns (address account) {
        assembly ("memory-safe") {
            account := shr(96, shl(96, calldataload(add(words.offset, shl(5, index)))))
        }
    }

    function _readReveals(
        Ledger.State storage s,
        Tally.Case memory input,
        uint256 revealed,
        uint256[] calldata validators
    ) private view {
        uint256 m = validators.length;
        if (m != LibBit.popCount(revealed)) revert IFederation.InvalidValidators(m, address(0));
        input.scores = DynamicArrayLib.malloc(m);
        input.weights = DynamicArrayLib.malloc(m);
        input.keeps = DynamicArrayLib.malloc(m);
        input.seats = DynamicArrayLib.malloc(m);
        unchecked {
            // Safe: v < m, the length of all arrays; a ballot's seat is one more than the seat, below 64. As many
            // ascending seats as have revealed, each of which has, are all that have.
            uint256 next;
            for (uint256 v = 0; v < m; ++v) {
                bytes32 ballot = s.ballots[_addressAt(validators, v)];
                uint256 seat = Scores.seatOf(ballot);
                if (seat <= next || !Ledger.isIn(revealed, seat - 1))
                    revert IFederation.InvalidValidators(v, _addressAt(validators, v));
                next = seat--;
                (bytes32 row, uint256 keep) = Scores.unpack(ballot);
                input.scores.set(v, uint256(row));
                input.keeps.set(v, keep);
                input.weights.set(v, s.weightOf(seat));
                input.seats.set(v, seat);
            }
        }
    }

    /// @return given What the tally needs of each.
    function _readAuthors(
        Ledger.State storage s,
        uint256 round,
        uint256[] calldata authors
    ) private view returns (uint256[] memory given) {
        given = DynamicArrayLib.malloc(authors.length);
        uint256 active = Round.active(round);
        uint256 version = s.now_.get(Now.VERSION);
        unchecked {
            // Safe: i < n, the length of both arrays.
            for (uint256 i = 0; i < authors.length; ++i) {
                uint256 duty = _asOf(s.duties[_addressAt(authors, i)], round.get(Round.WINDOW));
                uint256 place =
                    Words.put(Duty.WINDOW, round.get(Round.WINDOW)) | Words.put(Duty.INDEX, i);
                if ((duty ^ place) & Duty.PLACE != 0)
                    revert IFederation.InvalidAuthors(i, _addressAt(authors, i));
                given.set(i, _asAuthor(s, duty, version, active));
            }
        }
    }

    /// @return author Author.
    function _asAuthor(
        Ledger.State storage s,
        uint256 duty,
        uint256 version,
        uint256 active
    ) private view returns (uint256 author) {
        uint256 id = duty.get(Duty.ID);
        author =
            id |
            Words.put(Author.SAMPLES, duty.get(Duty.SAMPLES)) |
            Words.put(Author.REPUTATION, s.meritOf(id).get(Merit.REPUTATION));
        unchecked {
            // Safe: a base is at most the version of its submission, which has not fallen since; a seat is one more
            // than its index.
            author |= Words.put(Author.STALENESS, version - duty.get(Duty.BASE));
            uint256 seat = duty.get(Duty.SEAT);
            if (seat == 0 || !Ledger.isIn(active, seat - 1)) return author;
            return
                author |
                Words.put(Author.SEAT, seat) |
                Words.put(Author.WEIGHT, s.weightOf(seat - 1));
        }
    }

    /// @dev An author's duty with its older update in the newer one's place, where that is of another window.
    function _asOf(uint256 duty, uint256 window) private pure returns (uint256) {
        if (duty.get(Duty.WINDOW) == window || duty.get(Duty.OLDER_BACK) == 0) return duty;
        unchecked {
            // Safe: the older update counts back from the newer one.
            duty = duty.set(Duty.BASE, duty.get(Duty.BASE) - duty.get(Duty.OLDER_BASE_BACK));
            duty = duty.set(Duty.WINDOW, duty.get(Duty.WINDOW) - duty.get(Duty.OLDER_BACK));
        }
        duty = duty.set(Duty.SAMPLES, duty.get(Duty.OLDER_SAMPLES));
        return duty.set(Duty.INDEX, duty.get(Duty.OLDER_INDEX));
    }

    function _storeResults(
        Ledger.State storage s,
        uint256 window,
        Tally.Outcome memory outcome,
        uint256[] memory authors
    ) private {
        uint256[] memory shares = outcome.shares;
        uint256 place = Ledger.resultsOf(window);
        unchecked {
            // Safe: i < n <= 16, the length of both arrays. The last goes first, so that each pushes those after it up.
            uint256 i = authors.length;
            uint256 verdicts = outcome.verdicts >> (256 - 16 * i);
            uint256 word;
            while (i != 0) {
                --i;
                uint256 result =
                    authors.get(i).get(Author.ID) |
                        Words.put(Result.SHARE, shares.get(i)) |
                        Words.put(Result.VERDICT, uint8(verdicts) - 1);
                verdicts >>= 16;
                word = (word << Result.WIDTH) | result;
                if (i % Result.PER_WORD == 0) {
                    s.results[place + i / Result.PER_WORD] = word;
                    word = 0;
                }
            }
        }
    }

    function _storeAgreements(
        Ledger.State storage s,
        Tally.Outcome memory outcome,
        uint256 revealed
    ) private {
        int256[] memory agreements = outcome.agreement;
        uint256 overruled = outcome.overruled;
        unchecked {
            // Safe: v counts down the seats that revealed, as many as there are agreements. As above the last goes first.
            uint256 v = agreements.length;
            uint256 word;
            for (uint256 seat = LibBit.fls(revealed) + 1; seat != 0;) {
                --seat;
                word <<= 32;
                if (Ledger.isIn(revealed, seat))
                    word |= _asStored(agreements[--v], Ledger.isIn(overruled, seat));
                if (seat % 8 == 0 && word != 0) s.agreements[seat / 8] = word;
            }
        }
    }

    /// @return Agreement.
    function _asStored(int256 agreement, bool isOverruled) private pure returns (uint256) {
        if (isOverruled) return Agreement.OVERRULED;
        if (agreement == Tally.NO_AGREEMENT_TOLD) return Agreement.NONE;
        unchecked {
            return uint256(agreement + Agreement.BIAS); // safe: at least -1e6
        }
    }
}
