package gssapi

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
)

// reply is the server's AP-REP.
type reply struct {
	token  []byte
	subkey types.EncryptionKey // the key of the context
	seq    uint64              // of the server's first Wrap token
}

// answer makes AP-REP (RFC 4120, 5.5.2), which the library can only read. It
// proves that the server knows the key of the service. Its subkey makes a copy of
// the client's tokens useless.
func answer(in *accepted) (*reply, error) {
	subkey, err := newKey(in.session.KeyType)
	if err != nil {
		return nil, err
	}
	r := &reply{subkey: subkey}
	var random [4]byte
	rand.Read(random[:])                                            // never fails
	r.seq = uint64(binary.BigEndian.Uint32(random[:]) & 0x3fffffff) // as MIT Kerberos: safe for peers that read it as signed
	part, err := marshal(encAPRepPart{in.time.UTC().Truncate(time.Second), in.micros, r.subkey, int64(r.seq)}, asnAppTag.EncAPRepPart)
	if err != nil {
		return nil, err
	}
	encrypted, err := crypto.GetEncryptedData(part, in.session, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	message, err := marshal(messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: encrypted}, asnAppTag.APREP)
	r.token = gss.Frame(gss.APRep, message)
	return r, err
}

// encAPRepPart is messages.EncAPRepPart with all optional fields.
type encAPRepPart struct {
	CTime          time.Time           `asn1:"generalized,explicit,tag:0"`
	Cusec          int                 `asn1:"explicit,tag:1"`
	Subkey         types.EncryptionKey `asn1:"explicit,tag:2"`
	SequenceNumber int64               `asn1:"explicit,tag:3"`
}

func marshal(v any, tag int) ([]byte, error) {
	b, err := asn1.Marshal(v)
	return asn1tools.AddASNAppTag(b, tag), err
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
