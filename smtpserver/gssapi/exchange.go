package gssapi

import (
	"errors"
	"fmt"
	"net"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
)

// exchange is one login (RFC 4752, 3.2): AP-REQ; if the client asks for it,
// AP-REP and an empty response; then the offer of no security layer and the
// client's choice.
type exchange struct {
	auth       *Auth
	addr       net.Addr
	identified func(Principal) error

	next   func(response []byte) (challenge []byte, done bool, err error)
	client Principal
	key    types.EncryptionKey // of the Wrap tokens
	sub    bool                // key is the subkey of the server
	seq    uint64              // of the server's Wrap token
}

// No security layer: TLS protects the session (RFC 4752, 3.3).
const noLayer = 1

func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	defer func() {
		if p := recover(); p != nil { // the library can panic on malformed tokens
			challenge, done, err = nil, true, fmt.Errorf("GSSAPI: malformed token: %v", p)
		}
	}()
	if x.next == nil {
		if response == nil {
			return []byte{}, false, nil
		}
		x.next = x.first
	}
	return x.next(response)
}

// first reads AP-REQ.
func (x *exchange) first(token []byte) ([]byte, bool, error) {
	in, err := x.auth.accept(token, x.addr)
	if err != nil {
		return nil, true, err
	}
	x.client, x.key, x.seq = in.client, in.key, in.seq
	if !in.mutual {
		return x.offer(nil)
	}
	reply, err := answer(in)
	if err != nil {
		return nil, true, err
	}
	x.key, x.sub, x.seq = reply.subkey, true, reply.seq
	x.next = x.offer
	return reply.token, false, nil
}

// offer sends the offer of no layer, and 0 as the size of the buffer. The
// response to AP-REP must be empty.
func (x *exchange) offer(response []byte) ([]byte, bool, error) {
	if len(response) > 0 {
		return nil, true, sasl.ErrUnexpectedClientResponse
	}
	from := gss.Sender{Acceptor: true, Subkey: x.sub, Seq: x.seq}
	token, err := gss.Wrap(from, []byte{noLayer, 0, 0, 0}, x.checksum(keyusage.GSSAPI_ACCEPTOR_SEAL))
	x.next = x.chosen
	return token, err != nil, err
}

// chosen reads the choice of the client, the size of its buffer, which has no
// meaning without a layer, and the authorization identity.
func (x *exchange) chosen(token []byte) ([]byte, bool, error) {
	choice, err := gss.Unwrap(token, false, x.checksum(keyusage.GSSAPI_INITIATOR_SEAL))
	switch {
	case err != nil:
		return nil, true, fmt.Errorf("GSSAPI: %w", err)
	case len(choice) < 4 || choice[0] != noLayer:
		return nil, true, errors.New("GSSAPI: the client chose a security layer that was not offered")
	case !utf8.Valid(choice[4:]):
		return nil, true, errors.New("GSSAPI: the authorization identity is not UTF-8")
	}
	x.client.AuthzID = string(choice[4:])
	x.next = func([]byte) ([]byte, bool, error) { return nil, true, sasl.ErrUnexpectedClientResponse }
	return nil, true, x.identified(x.client)
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
