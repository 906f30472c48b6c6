// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Words} from "./Words.sol";

/// @title All that a federation stores, and how it is read and written
/// @notice `Federation.sol` owns the one `State`; the linked library `Judging` works on it in the federation's name.
library Ledger {
    using Words for Words.Now;
    using Words for Words.Header;
    using Words for Words.Duty;
    using Words for Words.Account;
    using Words for Words.Round;
    using Words for Words.Till;
    using Words for Words.Membership;
    using Words for Words.Merit;

    uint256 internal constant TRAINER = 1;
    uint256 internal constant VALIDATOR = 2;

    uint256 internal constant RING = 8;
    uint256 internal constant MAX_SEATS = 32;
    uint256 internal constant MAX_UPDATES = 16;
    uint256 internal constant ALL_SEATS = type(uint32).max;
    uint256 internal constant PPM = 1e6;

    // Flags of Words.Now.
    uint256 internal constant PAUSED = 1;
    uint256 internal constant CLOSED = 2;

    // Flags of Words.Duty.
    uint256 internal constant TRAINS = TRAINER; // it is a trainer and not leaving
    uint256 internal constant STAKE_SHORT = 2;

    // Stages of Words.Round.
    uint256 internal constant IDLE = 0; // nothing is being judged
    uint256 internal constant COMMIT = 1;
    uint256 internal constant REVEAL = 2;
    uint256 internal constant ATTEST = 3;
    uint256 internal constant FINAL_STAGE = 4; // a version; takes attestations until its end

    // Outcomes of a window that has ended.
    uint256 internal constant UNTALLIED = 0;
    uint256 internal constant TALLIED = 1;
    uint256 internal constant FINAL = 2;

    uint256 internal constant ASLEEP = 2; // windows missed in a row
    uint256 internal constant MAX_CREDIT = 2 ** 36 - 1; // units

    struct State {
        uint256 now_; // Words.Now
        uint256 round; // Words.Round
        uint256 till; // Words.Till
        uint256 membership; // Words.Membership
        uint256 stakes; // money
        uint256 slashed; // money
        uint256[4] weights; // eight lanes a word, of the active set
        uint256[4] agreements; // eight lanes a word, of the seats that revealed
        uint256 ballots; // a byte a seat: which candidate it attested; of a meaning from the second candidate on
        mapping(uint256 seat => address) seats;
        mapping(uint256 seat => bytes32) commitments; // after the reveal packed scores
        mapping(uint256 index => bytes32) candidates; // distinct digests attested
        mapping(uint256 slot => uint256) headers; // by ring slot: Words.Header
        mapping(uint256 place => bytes32) digests; // by update id modulo the ring
        mapping(uint256 place => uint256) results; // by quarter of the same: four lanes a word, see `Judging`
        mapping(address account => uint256) duties; // Words.Duty
        mapping(address account => uint256) accounts; // Words.Account
        mapping(uint256 quarter => uint256) merits; // four lanes a word, by id: Words.Merit
        mapping(uint256 id => address) participants;
        mapping(address account => bytes32) profiles;
        mapping(uint256 version => bytes32) models;
        mapping(uint256 nonce => bool) invitationUsed;
        uint64 invitationEpoch;
    }

    function loadNow(State storage s) internal view returns (Words.Now memory) {
        return Words.unpackNow(s.now_);
    }

    function loadRound(State storage s) internal view returns (Words.Round memory) {
        return Words.unpackRound(s.round);
    }

    function loadAccount(
        State storage s,
        address who
    ) internal view returns (Words.Account memory) {
        return Words.unpackAccount(s.accounts[who]);
    }

    function loadDuty(State storage s, address who) internal view returns (Words.Duty memory) {
        return Words.unpackDuty(s.duties[who]);
    }

    function loadMembership(State storage s) internal view returns (Words.Membership memory) {
        return Words.unpackMembership(s.membership);
    }

    function loadTill(State storage s) internal view returns (Words.Till memory) {
        return Words.unpackTill(s.till);
    }

    function loadHeader(
        State storage s,
        uint256 window
    ) internal view returns (Words.Header memory) {
        return Words.unpackHeader(s.headers[window % RING]);
    }

    function loadMerit(State storage s, uint256 id) internal view returns (Words.Merit memory) {
        return Words.unpackMerit(Words.lane(s.merits[id / 4], id % 4, 64));
    }

    function store(State storage s, Words.Now memory now_) internal {
        s.now_ = now_.pack();
    }

    function store(State storage s, Words.Round memory round) internal {
        s.round = round.pack();
    }

    function store(State storage s, address who, Words.Account memory account) internal {
        s.accounts[who] = account.pack();
    }

    function store(State storage s, address who, Words.Duty memory duty) internal {
        s.duties[who] = duty.pack();
    }

    function store(State storage s, Words.Membership memory membership) internal {
        s.membership = membership.pack();
    }

    function store(State storage s, Words.Till memory till) internal {
        s.till = till.pack();
    }

    function store(State storage s, uint256 id, Words.Merit memory merit) internal {
        s.merits[id / 4] = Words.withLane(s.merits[id / 4], id % 4, 64, merit.pack());
    }

    /// @notice Where an update's digest lies; its result lies in a quarter of that, lane `place % 4`.
    function placeOf(uint256 window, uint256 index) internal pure returns (uint256) {
        return (window % RING) * MAX_UPDATES + index;
    }

    function isIn(uint256 set, uint256 seat) internal pure returns (bool) {
        return (set >> seat) & 1 != 0;
    }

    /// @notice The seats that judge the window of a round.
    function activeOf(Words.Round memory round) internal pure returns (uint256) {
        return round.owing | round.committed;
    }

    function revealedOf(Words.Round memory round) internal pure returns (uint256) {
        return round.committed & ~round.owing;
    }

    function weightOf(State storage s, uint256 seat) internal view returns (uint256) {
        return Words.lane(s.weights[seat / 8], seat % 8, 32);
    }

    /// @notice The weight of a set of active seats.
    function weigh(State storage s, uint256 seats) internal view returns (uint256 sum) {
        for (uint256 k = 0; k < 4; ++k) {
            uint256 lanes = (seats >> (8 * k)) & 0xff;
            if (lanes == 0) continue;
            for (
                uint256 word = s.weights[k];
                lanes != 0;
                (lanes, word) = (lanes >> 1, word >> 32)
            ) {
                if (lanes & 1 != 0) sum += uint32(word);
            }
        }
    }

    /// @notice Who attested a candidate.
    function votersOf(
        State storage s,
        Words.Round memory round,
        uint256 candidate
    ) internal view returns (uint256 voters) {
        if (round.candidates < 2) return round.attested;
        uint256 ballots = s.ballots;
        for (uint256 seat = 0; seat < MAX_SEATS; ++seat) {
            if (isIn(round.attested, seat) && Words.lane(ballots, seat, 8) == candidate)
                voters |= 1 << seat;
        }
    }
}
