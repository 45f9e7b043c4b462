package gssapi

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
)

// exchange is one login (RFC 4752, 3.1): AP-REQ, AP-REP, an empty response, then
// the offer of security layers and the choice of none.
type exchange struct {
	ticket  *ticket
	authzid string

	step int
	auth types.Authenticator
	key  types.EncryptionKey // of the Wrap tokens
	sub  bool                // key is the subkey of the host
}

// Flags of the context (RFC 4121, 4.1.1.1).
const (
	flagMutual = 2
	flagInteg  = 32
)

func (x *exchange) Start() (string, []byte, error) {
	token, err := x.apReq()
	return mechanism, token, err
}

// apReq returns the first token: the ticket, and an authenticator that proves
// that the client knows the key of the ticket.
func (x *exchange) apReq() ([]byte, error) {
	var err error
	if x.auth, err = types.NewAuthenticator(x.ticket.crealm, x.ticket.cname); err != nil {
		return nil, err
	}
	// The checksum (RFC 4121, 4.1.1): no channel binding, as RFC 4752, 3.1 demands.
	checksum := make([]byte, 24)
	binary.LittleEndian.PutUint32(checksum, 16)
	binary.LittleEndian.PutUint32(checksum[20:], flagMutual|flagInteg)
	x.auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: checksum}
	if x.auth.SubKey, err = newKey(x.ticket.key.KeyType); err != nil {
		return nil, err
	}
	req, err := messages.NewAPReq(x.ticket.ticket, x.ticket.key, x.auth)
	if err != nil {
		return nil, err
	}
	types.SetFlag(&req.APOptions, 2) // mutual-required (RFC 4120, 5.5.1)
	message, err := req.Marshal()
	return gss.Frame(gss.APReq, message), err
}

func (x *exchange) Next(challenge []byte) (response []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // the library can panic on malformed tokens
			err = fmt.Errorf("malformed token: %v", p)
		}
	}()
	x.step++
	switch x.step {
	case 1:
		return []byte{}, x.apRep(challenge)
	case 2:
		return x.choose(challenge)
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}

// Done returns an error if the host reported success before it proved who it is.
func (x *exchange) Done() error {
	if x.step != 2 {
		return errors.New("the host reported success before it proved who it is")
	}
	return nil
}

// apRep reads the answer of the host: it proves that the host knows the key of
// the service, because it repeats the time of the authenticator.
func (x *exchange) apRep(token []byte) error {
	kind, message, err := gss.Unframe(token)
	if err != nil {
		return err
	}
	if kind == gss.Failed {
		var e messages.KRBError
		if err := e.Unmarshal(message); err != nil {
			return errors.New("the host sent a malformed error of Kerberos")
		}
		return fmt.Errorf("the host reports: %w", e)
	}
	var rep messages.APRep
	if kind != gss.APRep {
		return fmt.Errorf("the host sent a token of kind %#04x instead of AP-REP", kind)
	}
	if err := rep.Unmarshal(message); err != nil {
		return err
	}
	plain, err := crypto.DecryptEncPart(rep.EncPart, x.ticket.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return fmt.Errorf("the host does not know the key of the ticket: %w", err)
	}
	var part messages.EncAPRepPart
	if err := part.Unmarshal(plain); err != nil {
		return err
	}
	if part.CTime.Unix() != x.auth.CTime.Unix() || part.Cusec != x.auth.Cusec {
		return errors.New("the host answered another authenticator")
	}
	x.key = x.auth.SubKey
	if len(part.Subkey.KeyValue) > 0 { // RFC 4121, 2
		x.key, x.sub = part.Subkey, true
	}
	return nil
}

// No security layer: TLS protects the session (RFC 4752, 3.3).
const noLayer = 1

// choose reads the offer of the host, which is a set of layers and the size of
// its buffer, and answers with the choice of no layer, size 0 and the
// authorization identity.
func (x *exchange) choose(token []byte) ([]byte, error) {
	offer, err := gss.Unwrap(token, true, x.checksum(keyusage.GSSAPI_ACCEPTOR_SEAL))
	if err != nil {
		return nil, err
	}
	if len(offer) != 4 {
		return nil, fmt.Errorf("the host sent an offer of %d octets, not 4", len(offer))
	}
	if offer[0]&noLayer == 0 {
		return nil, errors.New("the host demands a security layer besides TLS")
	}
	choice := append([]byte{noLayer, 0, 0, 0}, x.authzid...)
	from := gss.Sender{Subkey: x.sub, Seq: uint64(x.auth.SeqNumber)}
	return gss.Wrap(from, choice, x.checksum(keyusage.GSSAPI_INITIATOR_SEAL))
}

func (x *exchange) checksum(usage uint32) gss.Checksum {
	return func(data []byte) ([]byte, error) {
		et, err := crypto.GetEtype(x.key.KeyType)
		if err != nil {
			return nil, err
		}
		return et.GetChecksumHash(x.key.KeyValue, data, usage)
	}
}

// newKey returns a random key. The library's own function makes keys of 24 octets
// for AES-256 with SHA-384, which needs 32 (RFC 8009, 5).
func newKey(keyType int32) (types.EncryptionKey, error) {
	et, err := crypto.GetEtype(keyType)
	if err != nil {
		return types.EncryptionKey{}, err
	}
	n := et.GetKeyByteSize()
	if keyType == etypeID.AES256_CTS_HMAC_SHA384_192 {
		n = 32
	}
	key := types.EncryptionKey{KeyType: keyType, KeyValue: make([]byte, n)}
	rand.Read(key.KeyValue) // never fails
	return key, nil
}
