package smtpserver_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// onlyAlice is the Lookup of a server on which "alice" is the only user.
func onlyAlice(cred smtpserver.ScramCredentials) func(context.Context, *smtpserver.Session, string) (smtpserver.ScramCredentials, error) {
	return func(_ context.Context, _ *smtpserver.Session, user string) (smtpserver.ScramCredentials, error) {
		if user != "alice" {
			return smtpserver.ScramCredentials{}, errors.New("unknown")
		}
		return cred, nil
	}
}

// told is what a server sends about a user before the client proves that it
// knows the password: salt and iterations.
func told(t *testing.T, a smtpserver.Authenticator, user string) string {
	t.Helper()
	asked := &asking{user: user}
	r, _ := login(t, authServer(t, a).Addr, func(*tls.ConnectionState) sasl.Client { return asked })
	wantReply(t, r, "5")
	if asked.salt == "" {
		t.Fatalf("%s: no salt", user)
	}
	return asked.salt
}

// asking is a client that only requests the salt of a user.
type asking struct{ user, salt string }

func (c *asking) Start() (string, []byte, error) {
	return "SCRAM-SHA-256", []byte("n,,n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL"), nil
}

func (c *asking) Next(challenge []byte) ([]byte, error) {
	_, c.salt, _ = strings.Cut(string(challenge), ",")
	return []byte("x"), nil
}

// A client that requests the salt of a user before and after a restart cannot
// find out whether the user exists.
func TestScramSaltsAfterRestart(t *testing.T) {
	cred, err := smtpserver.NewScramCredentials("wonderland", 0)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("0123456789abcdef")
	for name, start := range map[string]func() smtpserver.Authenticator{
		"a secret": func() smtpserver.Authenticator { return &smtpserver.Scram{Lookup: onlyAlice(cred), Secret: secret} },
		"none":     func() smtpserver.Authenticator { return smtpserver.ScramAuth(onlyAlice(cred)) },
	} {
		t.Run(name, func(t *testing.T) {
			before, after := start(), start()
			for _, user := range []string{"alice", "bob", "carol"} {
				first := told(t, before, user)
				for _, a := range []smtpserver.Authenticator{before, after} {
					if again := told(t, a, user); again != first {
						t.Errorf("%s: %s, then %s", user, first, again)
					}
				}
			}
			alice, bob := told(t, after, "alice"), told(t, after, "bob")
			if alice == bob || bob == told(t, after, "carol") {
				t.Error("two users have one salt")
			}
			if len(alice) != len(bob) || !strings.HasSuffix(bob, ",i=600000") {
				t.Errorf("alice has %s, nobody has %s", alice, bob)
			}
		})
	}
}

// Two different secrets give different salts. So do two servers without a
// Secret.
func TestScramSecrets(t *testing.T) {
	lookup := onlyAlice(smtpserver.ScramCredentials{})
	one := told(t, &smtpserver.Scram{Lookup: lookup, Secret: []byte("0123456789abcdef")}, "bob")
	two := told(t, &smtpserver.Scram{Lookup: lookup, Secret: []byte("fedcba9876543210")}, "bob")
	if one == two {
		t.Errorf("salts %s and %s", one, two)
	}
	salt, _, _ := strings.Cut(strings.TrimPrefix(one, "s="), ",")
	if b, err := base64.StdEncoding.DecodeString(salt); err != nil || len(b) != 16 {
		t.Errorf("salt %q", salt)
	}
}

// For users that do not exist, the number of iterations is that of the setting,
// or else that of existing users.
func TestScramIterations(t *testing.T) {
	cred, err := smtpserver.NewScramCredentials("wonderland", 5000)
	if err != nil {
		t.Fatal(err)
	}
	set := &smtpserver.Scram{Lookup: onlyAlice(cred), Iterations: 5000}
	if got := told(t, set, "bob"); !strings.HasSuffix(got, ",i=5000") {
		t.Errorf("set: %s", got)
	}
	learned := smtpserver.ScramAuth(onlyAlice(cred))
	told(t, learned, "alice")
	if got := told(t, learned, "bob"); !strings.HasSuffix(got, ",i=5000") {
		t.Errorf("learned: %s", got)
	}
}

// The case of a name does not show whether the user exists.
func TestScramSaltsIgnoreCase(t *testing.T) {
	cred, err := smtpserver.NewScramCredentials("wonderland", 5000)
	if err != nil {
		t.Fatal(err)
	}
	alice := onlyAlice(cred)
	a := &smtpserver.Scram{Iterations: 5000, IgnoreCase: true, Lookup: func(ctx context.Context, s *smtpserver.Session, user string) (smtpserver.ScramCredentials, error) {
		return alice(ctx, s, strings.ToLower(user))
	}}
	for _, user := range []string{"alice", "bob"} {
		if lower, upper := told(t, a, user), told(t, a, strings.ToUpper(user)); lower != upper {
			t.Errorf("%s has the salts %s and %s", user, lower, upper)
		}
	}
	if told(t, a, "bob") == told(t, a, "carol") {
		t.Error("two users have one salt")
	}
}
