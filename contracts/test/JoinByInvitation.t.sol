// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

/// An owner that is a contract: signs what it is told to.
contract Council {
    bytes32 public approved;

    function approve(bytes32 digest) external {
        approved = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == approved ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// Owners that are contracts of other kinds.
contract Deaf {
    error Unreachable();

    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        revert Unreachable();
    }
}

contract Glutton {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        while (true) {}
        return 0x1626ba7e;
    }
}

/// Answers what it was made with, to whatever it is asked.
contract Parrot {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return _answer;
    }
}

/// Has signed with its owner's key, as a wallet does, and changes state when asked.
contract Meddler {
    uint256 public asked;

    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        ++asked;
        return 0x1626ba7e;
    }
}

contract JoinByInvitationTest is Setup {
    address private constant WHO = address(0x3E3);
    bytes32 private constant PROFILE = keccak256("profile");

    struct Invitation {
        address participant;
        uint8 roles;
        uint256 nonce;
        uint256 deadline;
        uint64 epoch;
    }

    function setUp() public {
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
    }

    // ----- EIP-712, written out -----

    function _digest(Invitation memory i) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("BAFL Federation"),
                keccak256("1"),
                block.chainid,
                address(federation)
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch)"
                ),
                i.participant,
                i.roles,
                i.nonce,
                i.deadline,
                i.epoch
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, content));
    }

    function _sign(uint256 key, Invitation memory i) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _digest(i));
        return abi.encodePacked(r, s, v);
    }

    function _invitation() private view returns (Invitation memory) {
        return Invitation(WHO, TRAINER, 7, time() + 1 days, 0);
    }

    function _call(
        Invitation memory i,
        bytes memory signature
    ) private pure returns (bytes memory) {
        return
            abi.encodeCall(
                IFederation.joinByInvitation,
                (i.roles, PROFILE, STAKE, i.nonce, i.deadline, signature)
            );
    }

    function _refuses(
        address who,
        Invitation memory i,
        bytes memory signature,
        bytes memory refusal
    ) private {
        refuses(who, STAKE, _call(i, signature), refusal);
    }

    function _invalid() private view returns (bytes memory) {
        return abi.encodeWithSelector(IFederation.InvitationInvalid.selector, owner);
    }

    function _join(Invitation memory i, bytes memory signature) private {
        vm.deal(i.participant, STAKE);
        vm.expectEmit(address(federation));
        emit IFederation.InvitationAccepted(i.nonce, i.participant);
        vm.expectEmit(address(federation));
        emit IFederation.Joined(i.participant, i.roles, STAKE, PROFILE);
        vm.prank(i.participant);
        (bool done, ) = address(federation).call{value: STAKE}(_call(i, signature));
        vm.assertTrue(done);
        vm.assertEq(federation.participant(i.participant).roles, i.roles);
        checkMoney();
    }

    // ----- Tests -----

    function testFuzz_joinByInvitation_takesTheOwnersWord(
        address who,
        uint8 roles,
        uint256 nonce,
        uint256 deadline
    ) public {
        vm.assume(who != address(0) && who.code.length == 0 && uint160(who) > 0xffff);
        vm.assume(who != address(federation));
        roles = uint8(bound(uint256(roles), 1, 3));
        deadline = bound(deadline, time(), type(uint256).max);
        Invitation memory i = Invitation(who, roles, nonce, deadline, 0);
        _join(i, _sign(ownerKey, i));
    }

    function test_joinByInvitation_takesTheLastSecondAndNoLater() public {
        Invitation memory i = _invitation();
        bytes memory signature = _sign(ownerKey, i);
        vm.warp(i.deadline + 1);
        bytes4 refusal = IFederation.InvitationExpired.selector;
        _refuses(WHO, i, signature, abi.encodeWithSelector(refusal, i.deadline));
        vm.warp(i.deadline);
        _join(i, signature);
    }

    function test_joinByInvitation_worksOnce() public {
        Invitation memory i = _invitation();
        _join(i, _sign(ownerKey, i));
        bytes memory refusal = abi.encodeWithSelector(IFederation.InvitationUsed.selector, 7);
        _refuses(WHO, i, _sign(ownerKey, i), refusal);
        i.participant = address(0x07E4);
        _refuses(i.participant, i, _sign(ownerKey, i), refusal);
        i.nonce = 8;
        _join(i, _sign(ownerKey, i));
    }

    function test_joinByInvitation_isNotUsedUpByARefusal() public {
        Invitation memory i = _invitation();
        i.roles = 4;
        bytes memory refusal = abi.encodeWithSelector(IFederation.InvalidRoles.selector, 4);
        _refuses(WHO, i, _sign(ownerKey, i), refusal);
        i.roles = 3;
        _join(i, _sign(ownerKey, i));
    }

    function test_joinByInvitation_refusesWhatWasNotSigned() public {
        Invitation memory i = _invitation();
        bytes memory signature = _sign(ownerKey, i);
        _refuses(address(0x07E4), i, signature, _invalid());
        i.roles = 3;
        _refuses(WHO, i, signature, _invalid());
        i.roles = TRAINER;
        i.nonce = 8;
        _refuses(WHO, i, signature, _invalid());
        i.nonce = 7;
        i.deadline += 1;
        _refuses(WHO, i, signature, _invalid());
    }

    function testFuzz_joinByInvitation_refusesAnothersSignature(uint256 key) public {
        key = bound(key, 1, 2 ** 255);
        vm.assume(key != ownerKey);
        Invitation memory i = _invitation();
        _refuses(WHO, i, _sign(key, i), _invalid());
    }

    function testFuzz_joinByInvitation_refusesNoise(bytes memory signature) public {
        _refuses(WHO, _invitation(), signature, _invalid());
    }

    function test_joinByInvitation_refusesOneForAnotherFederation() public {
        Invitation memory i = _invitation();
        bytes memory signature = _sign(ownerKey, i);
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
        _refuses(WHO, i, signature, _invalid());
        i.nonce = 8;
        signature = _sign(ownerKey, i);
        vm.chainId(5);
        _refuses(WHO, i, signature, _invalid());
        vm.chainId(31_337);
        _join(i, signature);
    }

    function test_joinByInvitation_refusesAnEarlierEpoch() public {
        Invitation memory i = _invitation();
        bytes memory signature = _sign(ownerKey, i);
        vm.expectEmit(address(federation));
        emit IFederation.InvitationEpochBumped(1);
        vm.prank(owner);
        federation.bumpInvitationEpoch();
        vm.assertEq(federation.invitationEpoch(), 1);
        _refuses(WHO, i, signature, _invalid());
        i.epoch = 1;
        _join(i, _sign(ownerKey, i));
    }

    function test_joinByInvitation_asksAnOwnerThatIsAContract() public {
        Council council = new Council();
        owner = address(council);
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
        Invitation memory i = _invitation();
        _refuses(WHO, i, _sign(ownerKey, i), _invalid());
        council.approve(_digest(i));
        _join(i, "");
    }

    function _deployOwnedBy(address council) private {
        owner = council;
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
    }

    function test_joinByInvitation_asksAContractForTheseTermsAlone() public {
        Council council = new Council();
        _deployOwnedBy(address(council));
        Invitation memory i = _invitation();
        council.approve(_digest(i));
        _refuses(address(0x07E4), i, "", _invalid());
        i.roles = 3;
        _refuses(WHO, i, "", _invalid());
        i.roles = TRAINER;
        i.deadline += 1;
        _refuses(WHO, i, "", _invalid());
        i.deadline -= 1;
        address first = address(federation);
        _deployOwnedBy(address(council));
        _refuses(WHO, i, "", _invalid()); // another house of the same owner
        federation = IFederation(first);
        vm.chainId(5);
        _refuses(WHO, i, "", _invalid());
        vm.chainId(31_337);
        _join(i, "");
        bytes memory used = abi.encodeWithSelector(IFederation.InvitationUsed.selector, i.nonce);
        _refuses(WHO, i, "", used);
    }

    function test_joinByInvitation_ofAContractEndsWithItsEpochAndItsWord() public {
        Council council = new Council();
        _deployOwnedBy(address(council));
        Invitation memory i = _invitation();
        council.approve(_digest(i));
        vm.prank(address(council));
        federation.bumpInvitationEpoch();
        _refuses(WHO, i, "", _invalid());
        i.epoch = 1;
        council.approve(_digest(i));
        council.approve(0); // takes it back
        _refuses(WHO, i, "", _invalid());
        council.approve(_digest(i));
        _join(i, "");
    }

    function test_joinByInvitation_takesNoAnswerButTheRightOne() public {
        bytes[6] memory answers = [
            bytes(""),
            hex"1626ba7e", // not a word
            abi.encode(bytes4(0xffffffff)),
            abi.encode(uint256(1)), // true is no signature
            abi.encode(uint256(0x1626ba7e)), // the wrong end of the word
            abi.encode(bytes32(bytes4(0x1626ba7e)) | bytes32(uint256(1)))
        ];
        for (uint256 k = 0; k < answers.length; ++k) {
            _deployOwnedBy(address(new Parrot(answers[k])));
            Invitation memory i = _invitation();
            _refuses(WHO, i, _sign(ownerKey, i), _invalid());
        }
        _deployOwnedBy(address(new Parrot(abi.encode(bytes4(0x1626ba7e)))));
        _join(_invitation(), hex"00");
    }

    function test_joinByInvitation_refusesWhenTheContractReverts() public {
        _deployOwnedBy(address(new Deaf()));
        Invitation memory i = _invitation();
        _refuses(WHO, i, _sign(ownerKey, i), _invalid());
    }

    function test_joinByInvitation_refusesWhenTheContractWouldChangeAnything() public {
        Meddler meddler = new Meddler();
        _deployOwnedBy(address(meddler));
        _refuses(WHO, _invitation(), "", _invalid());
        vm.assertEq(meddler.asked(), 0);
    }

    /// The guest pays for that, and nobody else.
    function test_joinByInvitation_refusesWhenTheContractEatsAllGas() public {
        _deployOwnedBy(address(new Glutton()));
        Invitation memory i = _invitation();
        vm.deal(WHO, STAKE);
        vm.prank(WHO);
        (bool done, bytes memory answer) = address(federation).call{value: STAKE, gas: 3_000_000}(
            _call(i, "")
        );
        vm.assertFalse(done);
        vm.assertEq(answer, _invalid());
        vm.assertEq(WHO.balance, STAKE);
        vm.assertEq(federation.participant(WHO).roles, 0);
    }

    function test_joinByInvitation_joinsAnOpenFederationToo() public {
        deploy(usual());
        Invitation memory i = _invitation();
        _join(i, _sign(ownerKey, i));
    }

    function test_joinByInvitation_refusesOtherMoneyThanSaid() public {
        Invitation memory i = _invitation();
        refuses(
            WHO,
            STAKE - 1,
            _call(i, _sign(ownerKey, i)),
            abi.encodeWithSelector(IFederation.WrongAmount.selector, STAKE - 1, STAKE)
        );
    }
}
