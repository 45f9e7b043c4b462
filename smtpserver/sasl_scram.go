package smtpserver

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-sasl"
	"golang.org/x/text/secure/precis"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// ScramCredentials are the data about a password that a server stores for
// SCRAM-SHA-256 (RFC 5802, 3). They are sufficient to verify a login, but not
// to log in.
type ScramCredentials struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// scramIterations is the number that the OWASP Password Storage Cheat Sheet
// recommends for PBKDF2 with SHA-256.
const scramIterations = 600_000

// NewScramCredentials returns credentials for a password, with a random salt.
// iterations is the number of PBKDF2 iterations, which sets the cost of
// guessing the password; 0 means 600,000. It returns an error if the password
// contains characters that RFC 8265 forbids.
func NewScramCredentials(password string, iterations int) (ScramCredentials, error) {
	if iterations <= 0 {
		iterations = scramIterations
	}
	prepared, err := precis.OpaqueString.String(password) // RFC 8265, after SASLprep
	if err != nil {
		return ScramCredentials{}, fmt.Errorf("smtpserver: password cannot be used: %w", err)
	}
	c := ScramCredentials{Salt: make([]byte, 16), Iterations: iterations}
	rand.Read(c.Salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, prepared, c.Salt, iterations, sha256.Size)
	if err != nil {
		return ScramCredentials{}, err
	}
	clientKey := hmacSHA256(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	c.StoredKey, c.ServerKey = stored[:], hmacSHA256(salted, "Server Key")
	return c, nil
}

// Scram is an Authenticator that offers SCRAM-SHA-256 (RFC 7677) and, under
// TLS, SCRAM-SHA-256-PLUS with the channel bindings tls-exporter (RFC 9266) and
// tls-unique (RFC 5929). Scram is safe for concurrent use. Its fields must not
// change after first use.
//
// The first challenge contains the salt of the user, and any client can request
// it. For a user that does not exist, Scram sends a salt that looks like the
// salt of a user and is always the same, also after a restart of the server.
// Otherwise an attacker could request the salt twice to find out whether the
// user exists.
type Scram struct {
	// Lookup returns the credentials of a user, or an error if the user does
	// not exist. For an unknown user, the login fails at the same step as for a
	// wrong password.
	Lookup func(ctx context.Context, s *Session, username string) (ScramCredentials, error)
	// Secret is the key from which the salts of users that do not exist are
	// made: 16 or more random bytes, which must not change. Hosts that serve
	// the same users need the same Secret. Default: a key derived from the
	// machine ID of the host (/etc/machine-id) or, if there is none, from the
	// private key of the server's first certificate. The default is weaker than
	// a Secret: users of the host can read the machine ID, a public container
	// image contains a machine ID that is not secret, and a new private key
	// changes the salts. A host without a machine ID and a certificate uses a
	// new random key after each start.
	Secret []byte
	// Iterations is the number of iterations in challenges for users that do
	// not exist. Set it if your credentials do not use the default of
	// NewScramCredentials. Default: the number of the last user that was found,
	// or 600,000 if there was none.
	Iterations int
	// IgnoreCase means that Lookup finds a user by its name in upper and lower case.
	// The salts of users that do not exist then do not depend on the case either.
	// Otherwise the salts of two spellings would show whether the user exists.
	IgnoreCase bool

	once    sync.Once
	derived []byte // Secret or its default
	seen    atomic.Int64
}

// ScramAuth returns a Scram with the given Lookup and defaults for the other
// fields.
func ScramAuth(lookup func(ctx context.Context, s *Session, username string) (ScramCredentials, error)) Authenticator {
	return &Scram{Lookup: lookup}
}

// Validate returns an error if a setting can never work. Server.Validate calls it.
func (a *Scram) Validate() error {
	switch n := len(a.Secret); {
	case a.Lookup == nil:
		return errors.New("Scram.Lookup is not set")
	case n > 0 && n < 16:
		return fmt.Errorf("Scram.Secret has %d bytes: it needs 16 or more", n)
	}
	return settings.Number("Scram.Iterations", a.Iterations)
}

// unknown returns credentials for a user that does not exist.
func (a *Scram) unknown(srv *Server, username string) ScramCredentials {
	a.once.Do(func() {
		if a.derived = a.Secret; len(a.derived) == 0 {
			a.derived = stableSecret("Bridgehead: salts of unknown SCRAM users", machineIDs(), srv.TLSConfig)
		}
	})
	if a.IgnoreCase {
		username = strings.ToLower(username)
	}
	return ScramCredentials{
		Salt:       hmacSHA256(a.derived, username)[:16],
		Iterations: cmp.Or(a.Iterations, int(a.seen.Load()), scramIterations),
		StoredKey:  make([]byte, sha256.Size),
	}
}

const (
	scram     = "SCRAM-SHA-256"
	scramPlus = "SCRAM-SHA-256-PLUS"
)

// Mechanisms implements Authenticator.
func (*Scram) Mechanisms(s *Session) []string {
	if s.tls != nil {
		return []string{scramPlus, scram}
	}
	return []string{scram}
}

// Start implements Authenticator.
func (a *Scram) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	if mechanism != scram && (mechanism != scramPlus || s.tls == nil) {
		return nil, errNotOffered(mechanism)
	}
	return &scramServer{a: a, ctx: ctx, s: s, plus: mechanism == scramPlus}, nil
}

// scramServer is one exchange: client-first, server-first, client-final,
// server-final.
type scramServer struct {
	a    *Scram
	ctx  context.Context
	s    *Session
	plus bool

	step        int
	gs2         string // as the client sent it
	binding     []byte // channel binding data
	clientFirst string // without gs2
	serverFirst string
	nonce       string
	username    string
	cred        ScramCredentials
	unknown     error // from lookup
}

var errScram = malformed("SCRAM: malformed message")

func (sc *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil && sc.step == 0 {
		return []byte{}, false, nil
	}
	sc.step++
	switch sc.step {
	case 1:
		challenge, err = sc.first(string(response))
		return challenge, false, err
	case 2:
		challenge, err = sc.final(string(response))
		return challenge, true, err
	}
	return nil, true, sasl.ErrUnexpectedClientResponse
}

// first parses "gs2-cbind-flag,[a=authzid],n=user,r=nonce" (RFC 5802, 7).
func (sc *scramServer) first(msg string) ([]byte, error) {
	f := strings.SplitN(msg, ",", 3)
	if len(f) != 3 {
		return nil, errScram
	}
	sc.gs2, sc.clientFirst = f[0]+","+f[1]+",", f[2]
	if err := sc.bind(f[0]); err != nil {
		return nil, err
	}
	attrs := strings.Split(f[2], ",")
	if len(attrs) < 2 || !strings.HasPrefix(attrs[0], "n=") || !strings.HasPrefix(attrs[1], "r=") || len(attrs[1]) < 10 {
		return nil, errScram // also for m=, a mandatory extension
	}
	var err error
	if sc.username, err = saslName(attrs[0][2:]); err != nil {
		return nil, errScram
	}
	if f[1] != "" {
		if authzid, err := saslName(strings.TrimPrefix(f[1], "a=")); err != nil || authzid != sc.username {
			return nil, malformed("SCRAM: the authorization identity is not the user name")
		}
	}
	absent := sc.a.unknown(sc.s.srv, sc.username) // for all users, because it takes time
	if sc.cred, sc.unknown = sc.a.Lookup(sc.ctx, sc.s, sc.username); sc.unknown == nil {
		sc.a.seen.Store(int64(sc.cred.Iterations))
	} else {
		sc.cred = absent
	}
	sc.nonce = attrs[1][2:] + rand.Text()
	sc.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", sc.nonce, base64.StdEncoding.EncodeToString(sc.cred.Salt), sc.cred.Iterations)
	return []byte(sc.serverFirst), nil
}

// bind reads the channel binding flag. "y" means that the client supports
// channel binding but was not offered it. As the server offers it, someone has
// changed the offer (RFC 5802, 6).
func (sc *scramServer) bind(flag string) error {
	kind, bound := strings.CutPrefix(flag, "p=")
	switch {
	case bound != sc.plus:
		return malformed("SCRAM: the channel binding flag does not match the mechanism")
	case flag == "y" && sc.s.tls != nil:
		return malformed("SCRAM: the client reports that the server offers no channel binding, but it does: possible downgrade attack")
	case !bound && flag != "n" && flag != "y":
		return errScram
	case !bound:
		return nil
	}
	var err error
	sc.binding, err = channelBinding(sc.s.tls, kind)
	return err
}

func channelBinding(state *tls.ConnectionState, kind string) ([]byte, error) {
	switch {
	case kind == "tls-exporter": // RFC 9266, 2
		return state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	case kind == "tls-unique" && state.Version < tls.VersionTLS13 && len(state.TLSUnique) > 0: // RFC 5929, 3
		return state.TLSUnique, nil
	}
	return nil, malformed(fmt.Sprintf("SCRAM: channel binding %q is not available", kind))
}

// final parses "c=binding,r=nonce,p=proof" and returns the proof that the
// server knows the password too.
func (sc *scramServer) final(msg string) ([]byte, error) {
	i := strings.LastIndex(msg, ",p=")
	if i < 0 {
		return nil, errScram
	}
	attrs := strings.Split(msg[:i], ",")
	c := base64.StdEncoding.EncodeToString(append([]byte(sc.gs2), sc.binding...))
	if len(attrs) < 2 || attrs[0] != "c="+c || attrs[1] != "r="+sc.nonce {
		return nil, malformed("SCRAM: wrong channel binding or nonce")
	}
	proof, err := base64.StdEncoding.DecodeString(msg[i+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, errScram
	}
	auth := sc.clientFirst + "," + sc.serverFirst + "," + msg[:i]
	key := hmacSHA256(sc.cred.StoredKey, auth)
	for i := range key {
		key[i] ^= proof[i]
	}
	stored := sha256.Sum256(key)
	if !hmac.Equal(stored[:], sc.cred.StoredKey) || sc.unknown != nil {
		return nil, errors.Join(errors.New("SCRAM: wrong password"), sc.unknown)
	}
	sc.s.SetIdentity(sc.username)
	return []byte("v=" + base64.StdEncoding.EncodeToString(hmacSHA256(sc.cred.ServerKey, auth))), nil
}

func hmacSHA256(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
