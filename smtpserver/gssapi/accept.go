package gssapi

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
)

// skew is the difference of clocks that is accepted (RFC 4120, 3.2.3).
const skew = 5 * time.Minute

// allowed are the types of keys that the server accepts.
var allowed = []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.AES256_CTS_HMAC_SHA384_192, etypeID.AES128_CTS_HMAC_SHA256_128}

// accepted is the content of a valid AP-REQ.
type accepted struct {
	client  Principal
	session types.EncryptionKey // of the ticket
	key     types.EncryptionKey // the client's subkey or the session key
	seq     uint64
	mutual  bool // the client wants AP-REP
	time    time.Time
	micros  int
}

// accept verifies the first token of a client.
func (a *Auth) accept(token []byte, addr net.Addr) (*accepted, error) {
	kind, message, err := gss.Unframe(token)
	if err != nil {
		return nil, fmt.Errorf("GSSAPI: %w", err)
	}
	if kind != gss.APReq {
		return nil, fmt.Errorf("GSSAPI: token of kind %#04x instead of AP-REQ", kind)
	}
	var req messages.APReq
	if err := req.Unmarshal(message); err != nil {
		return nil, fmt.Errorf("GSSAPI: %w", err)
	}
	kt, err := a.keytab()
	if err != nil {
		return nil, errors.Join(&smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Temporary authentication failure"}, err)
	}
	name, err := a.principal(kt, &req.Ticket)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(allowed, req.Ticket.EncPart.EType) {
		return nil, fmt.Errorf("GSSAPI: encryption type %d of the ticket is not accepted", req.Ticket.EncPart.EType)
	}
	var from types.HostAddress // for tickets that are bound to addresses
	if tcp, ok := addr.(*net.TCPAddr); ok {
		from = types.HostAddressFromNetIP(tcp.IP)
	}
	if ok, err := req.Verify(kt, skew, from, name); err != nil || !ok {
		return nil, fmt.Errorf("GSSAPI: ticket or authenticator is not valid: %w", err)
	}
	in, err := read(&req)
	if err != nil {
		return nil, err
	}
	return in, a.replays.add(req.EncryptedAuthenticator.Cipher, time.Now())
}

// read reads a verified AP-REQ. It takes the client's realm from the ticket: the
// library's own function takes it from the authenticator, which the client
// makes.
func read(req *messages.APReq) (*accepted, error) {
	ticket, auth := &req.Ticket.DecryptedEncPart, &req.Authenticator
	name, err := plainName(ticket.CName.NameString)
	if err != nil {
		return nil, err
	}
	if auth.CRealm != ticket.CRealm {
		return nil, errors.New("GSSAPI: the realm of the authenticator is not that of the ticket")
	}
	if auth.Cksum.CksumType != chksumtype.GSSAPI || len(auth.Cksum.Checksum) < 24 {
		return nil, errors.New("GSSAPI: the authenticator has no flags") // RFC 4121, 4.1.1
	}
	const mutual = 2
	in := &accepted{
		client:  Principal{Name: name, Realm: ticket.CRealm, ServerRealm: req.Ticket.Realm},
		session: ticket.Key, key: ticket.Key,
		seq:    uint64(auth.SeqNumber),
		mutual: binary.LittleEndian.Uint32(auth.Cksum.Checksum[20:])&mutual != 0,
		time:   auth.CTime, micros: auth.Cusec,
	}
	if len(auth.SubKey.KeyValue) > 0 {
		in.key = auth.SubKey
	}
	for _, k := range []types.EncryptionKey{in.session, in.key} {
		if !slices.Contains(allowed, k.KeyType) {
			return nil, fmt.Errorf("GSSAPI: encryption type %d of a key is not accepted", k.KeyType)
		}
	}
	return in, nil
}

// plainName returns a name as text. Names that would look like the name of
// another principal are refused.
func plainName(components []string) (string, error) {
	for _, c := range components {
		if c == "" || strings.ContainsAny(c, "/@\\") || strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
			return "", fmt.Errorf("GSSAPI: the name of the client, %q, is not accepted", components)
		}
	}
	if len(components) == 0 {
		return "", errors.New("GSSAPI: the client has no name")
	}
	return strings.Join(components, "/"), nil
}

// principal returns the principal of the keytab whose key the ticket needs. Windows
// does not distinguish upper and lower case in its name.
func (a *Auth) principal(kt *keytab.Keytab, t *messages.Ticket) (*types.PrincipalName, error) {
	for i := range kt.Entries {
		p := &kt.Entries[i].Principal
		if p.Realm == t.Realm && a.accepts(p.Components) && strings.EqualFold(strings.Join(p.Components, "/"), strings.Join(t.SName.NameString, "/")) {
			return &types.PrincipalName{NameType: p.NameType, NameString: p.Components}, nil
		}
	}
	return nil, fmt.Errorf("GSSAPI: ticket for %q in realm %q, which is not %s with a key", t.SName.NameString, t.Realm, a.serviceName())
}

// accepts reports whether the principal with these components is the server.
func (a *Auth) accepts(components []string) bool {
	if len(components) != 2 {
		return false
	}
	if a.Service == "" {
		return strings.EqualFold(components[0], "smtp")
	}
	return strings.EqualFold(strings.Join(components, "/"), a.Service)
}

func (a *Auth) serviceName() string { return cmp.Or(a.Service, "smtp/HOST") }

// keytab reads the keytab.
func (a *Auth) keytab() (kt *keytab.Keytab, err error) {
	defer func() {
		if p := recover(); p != nil { // the library can panic on a malformed file
			err = fmt.Errorf("gssapi: %s is malformed", a.KeytabFile)
		}
	}()
	kt, err = keytab.Load(a.KeytabFile)
	if err != nil {
		// The library's error can contain the file, and so the keys.
		return nil, fmt.Errorf("gssapi: keytab %s cannot be read", a.KeytabFile)
	}
	return kt, nil
}
