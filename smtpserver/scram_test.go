package smtpserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Check accepts the password in each form that RFC 8265 makes equal, and no other.
func TestScramCredentialsCheck(t *testing.T) {
	cred, err := smtpserver.NewScramCredentials("wonder\u00a0l\u00e4nd", 4096)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"wonder\u00a0l\u00e4nd": true, "wonder la\u0308nd": true, "wonderland": false, "": false, "wonder\u00a0l\u00e4nd\x07": false} {
		if got := cred.Check(password); got != want {
			t.Errorf("%q: %v", password, got)
		}
	}
	if (smtpserver.ScramCredentials{}).Check("") {
		t.Error("empty credentials accept an empty password")
	}
}

func TestScram(t *testing.T) {
	cred, err := smtpserver.NewScramCredentials("wonderland", 4096)
	if err != nil {
		t.Fatal(err)
	}
	srv := authServer(t, smtpserver.ScramAuth(func(_ context.Context, _ *smtpserver.Session, user string) (smtpserver.ScramCredentials, error) {
		if user != "al,ice" {
			return smtpserver.ScramCredentials{}, errors.New("unknown")
		}
		return cred, nil
	}))
	for _, c := range []struct {
		name, mech, gs2, user, password, want string
	}{
		{"right", "SCRAM-SHA-256", "n", "al=2Cice", "wonderland", "235"},
		{"wrong password", "SCRAM-SHA-256", "n", "al=2Cice", "x", "535"},
		{"unknown user", "SCRAM-SHA-256", "n", "bob", "wonderland", "535"},
		{"bound", "SCRAM-SHA-256-PLUS", "p=tls-exporter", "al=2Cice", "wonderland", "235"},
		{"bound to a different connection", "SCRAM-SHA-256-PLUS", "p=tls-exporter", "al=2Cice", "wonderland/unbound", "535"},
		{"unknown binding", "SCRAM-SHA-256-PLUS", "p=tls-telepathy", "al=2Cice", "wonderland", "535"},
		{"PLUS without binding", "SCRAM-SHA-256-PLUS", "n", "al=2Cice", "wonderland", "535"},
		{"binding without PLUS", "SCRAM-SHA-256", "p=tls-exporter", "al=2Cice", "wonderland", "535"},
		{"offer removed by an attacker", "SCRAM-SHA-256", "y", "al=2Cice", "wonderland", "535"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cl *scramClient
			r, _ := login(t, srv.Addr, func(state *tls.ConnectionState) sasl.Client {
				cl = &scramClient{mech: c.mech, gs2: c.gs2, user: c.user}
				var unbound bool
				cl.password, unbound = strings.CutSuffix(c.password, "/unbound")
				if strings.HasPrefix(c.gs2, "p=") && !unbound {
					cl.binding, _ = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
				}
				return cl
			})
			wantReply(t, r, c.want)
			if c.want == "235" && !cl.serverKnows {
				t.Error("the server did not prove that it knows the password")
			}
		})
	}
}

// scramClient is a client of RFC 5802, written from the RFC.
type scramClient struct {
	mech, gs2, user, password string
	binding                   []byte
	first                     string
	serverSig                 string
	serverKnows               bool
}

func (c *scramClient) Start() (string, []byte, error) {
	c.first = "n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL"
	return c.mech, []byte(c.gs2 + ",," + c.first), nil
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if sig, ok := strings.CutPrefix(string(challenge), "v="); ok {
		c.serverKnows = sig == c.serverSig
		return []byte{}, nil
	}
	var nonce, salt64 string
	var iterations int
	f := strings.Split(string(challenge), ",")
	if len(f) != 3 {
		return nil, errors.New("bad challenge")
	}
	nonce, salt64 = f[0][2:], f[1][2:]
	if _, err := fmt.Sscanf(f[2], "i=%d", &iterations); err != nil {
		return nil, err
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha256.New, c.password, salt, iterations, 32)
	if err != nil {
		return nil, err
	}
	mac := func(key []byte, s string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(s))
		return m.Sum(nil)
	}
	final := "c=" + base64.StdEncoding.EncodeToString(append([]byte(c.gs2+",,"), c.binding...)) + ",r=" + nonce
	auth := c.first + "," + string(challenge) + "," + final
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], auth)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	c.serverSig = base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), auth))
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}
