package smtpserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// login dials with TLS and runs a SASL client; it returns the reply and the
// connection.
func login(t *testing.T, addr string, client func(*tls.ConnectionState) sasl.Client, certs ...tls.Certificate) (string, *raw) {
	t.Helper()
	tc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, Certificates: certs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tc.Close() })
	c := newRaw(t, tc)
	c.expect("220")
	c.send("EHLO client.example\r\n")
	c.expect("250")
	state := tc.ConnectionState()
	cl := client(&state)
	mech, ir, err := cl.Start()
	if err != nil {
		t.Fatal(err)
	}
	c.send("AUTH " + mech)
	if ir != nil {
		c.send(" " + base64.StdEncoding.EncodeToString(ir))
	}
	c.send("\r\n")
	for {
		r := c.reply()
		if !strings.HasPrefix(r, "334 ") {
			return r, c
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r[4:]))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := cl.Next(challenge)
		if err != nil {
			c.send("*\r\n")
			continue
		}
		c.send(base64.StdEncoding.EncodeToString(resp) + "\r\n")
	}
}

func authServer(t *testing.T, a smtpserver.Authenticator) *smtptest.Server {
	s := withTLS(t, smtpserver.TLSImplicit)
	s.TLSConfig.ClientAuth = tls.RequestClientCert
	s.Auth = a
	return smtptest.NewServer(t, s)
}

func wantReply(t *testing.T, got, want string) {
	t.Helper()
	if !strings.HasPrefix(got, want) {
		t.Errorf("reply %q, want %q", got, want)
	}
}

func TestExternal(t *testing.T) {
	cert := smtptest.Certificate(t, "printer.example")
	srv := authServer(t, smtpserver.ExternalAuth(func(_ context.Context, _ *smtpserver.Session, c *x509.Certificate, authzid string) (string, error) {
		if authzid != "" && authzid != "printer" {
			return "", errors.New("not you")
		}
		return c.Subject.CommonName, nil
	}))
	client := func(id string) func(*tls.ConnectionState) sasl.Client {
		return func(*tls.ConnectionState) sasl.Client { return sasl.NewExternalClient(id) }
	}
	r, _ := login(t, srv.Addr, client("printer"), cert)
	wantReply(t, r, "235")
	r, _ = login(t, srv.Addr, client("root"), cert)
	wantReply(t, r, "535")
	r, _ = login(t, srv.Addr, client("printer"))
	wantReply(t, r, "504") // without a certificate it is not offered
}

func TestBearer(t *testing.T) {
	srv := authServer(t, smtpserver.BearerAuth(func(_ context.Context, _ *smtpserver.Session, user, token string) (string, error) {
		if token != "good" {
			return "", errors.New("bad token")
		}
		return user, nil
	}))
	bearer := func(token string) func(*tls.ConnectionState) sasl.Client {
		return func(*tls.ConnectionState) sasl.Client {
			return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "a@example.com", Token: token, Host: "mail", Port: 25})
		}
	}
	r, _ := login(t, srv.Addr, bearer("good"))
	wantReply(t, r, "235")
	r, _ = login(t, srv.Addr, bearer("bad"))
	wantReply(t, r, "501 5.7.0") // go-sasl's client gives up at the error challenge
	for ir, want := range map[string]string{
		"user=a@example.com\x01auth=Bearer good\x01\x01": "235",
		"user=a@example.com\x01auth=Bearer bad\x01\x01":  "535",
		"user=\x01auth=Bearer good\x01\x01":              "535",
		"user=a@example.com\x01auth=Bearer good":         "535",
		"x":                                              "535",
	} {
		r, _ := login(t, srv.Addr, func(*tls.ConnectionState) sasl.Client { return xoauth2Client(ir) })
		wantReply(t, r, want)
	}
}

// A token that was refused is a failed login, also where the client does not
// hear the refusal out.
func TestBearerFailuresAreCounted(t *testing.T) {
	s := generous()
	s.AllowInsecureAuth = true
	s.Auth = smtpserver.BearerAuth(func(context.Context, *smtpserver.Session, string, string) (string, error) {
		return "", errors.New("bad token")
	})
	srv := smtptest.NewServer(t, s)
	guess := "C: AUTH XOAUTH2 " + b64("user=a@example.com\x01auth=Bearer bad\x01\x01") + "\nS: 334\n"
	smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO client.example\nS: 250\n"+
		guess+"C: *\nS: 501 5.7.0\n"+
		guess+"C: !\nS: 501 5.5.2\n"+
		guess+"C: *\nS: 501 5.7.0\nS: 421 4.7.0 Too many failed logins\nEOF")
	if n := srv.Counters().AuthFailed; n != 3 {
		t.Errorf("%d failed logins counted", n)
	}
}

type xoauth2Client string

func (c xoauth2Client) Start() (string, []byte, error)        { return "XOAUTH2", []byte(c), nil }
func (c xoauth2Client) Next(challenge []byte) ([]byte, error) { return []byte{}, nil }

func TestCramMD5(t *testing.T) {
	srv := authServer(t, smtpserver.CramMD5Auth(func(_ context.Context, _ *smtpserver.Session, user string) (string, error) {
		if user != "alice" {
			return "", errors.New("unknown")
		}
		return "wonderland", nil
	}))
	for _, c := range []struct{ user, password, want string }{
		{"alice", "wonderland", "235"}, {"alice", "x", "535"}, {"bob", "wonderland", "535"},
	} {
		r, _ := login(t, srv.Addr, func(*tls.ConnectionState) sasl.Client { return cramClient{c.user, c.password} })
		wantReply(t, r, c.want)
	}
}

type cramClient struct{ user, password string }

func (c cramClient) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }
func (c cramClient) Next(challenge []byte) ([]byte, error) {
	m := hmac.New(md5.New, []byte(c.password))
	m.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(m.Sum(nil))), nil
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
		{"bound to another connection", "SCRAM-SHA-256-PLUS", "p=tls-exporter", "al=2Cice", "wonderland/unbound", "535"},
		{"unknown binding", "SCRAM-SHA-256-PLUS", "p=tls-telepathy", "al=2Cice", "wonderland", "535"},
		{"PLUS without binding", "SCRAM-SHA-256-PLUS", "n", "al=2Cice", "wonderland", "535"},
		{"binding without PLUS", "SCRAM-SHA-256", "p=tls-exporter", "al=2Cice", "wonderland", "535"},
		{"offer taken away", "SCRAM-SHA-256", "y", "al=2Cice", "wonderland", "535"},
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

func TestAuthsOffersAll(t *testing.T) {
	s := withTLS(t, smtpserver.TLSImplicit)
	deny := func(context.Context, *smtpserver.Session, string, string) (string, error) {
		return "", errors.New("no")
	}
	s.Auth = smtpserver.Auths(wonderland(), smtpserver.BearerAuth(deny), smtpserver.ScramAuth(nil), smtpserver.PasswordAuth(nil))
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		TLS
		S: 220
		C: EHLO client.example
		S: 250 AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2 SCRAM-SHA-256-PLUS SCRAM-SHA-256
		C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
		S: 235
	`)
}

// A response may have 12288 bytes (RFC 4954, 4), no more; and an agent may
// still refuse who has proved who they are.
func TestAuthLimits(t *testing.T) {
	s := generous()
	s.AllowInsecureAuth = true
	s.Limits.AuthFailures = -1
	longest := ""
	s.Auth = smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		longest = max(longest, password)
		return nil
	})
	s.Agents = []smtpserver.Agent{{Auth: func(_ context.Context, s *smtpserver.Session) error {
		if s.Identity() == "mallory" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Account is locked"}
		}
		return nil
	}}}
	srv := smtptest.NewServer(t, s)
	secret := strings.Repeat("x", 9000)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("\x00mallory\x00x")+`
		S: 535 5.7.8 Account is locked
		C: AUTH PLAIN `+strings.Repeat("A", 12288)+`
		S: 500 5.5.2
		C: AUTH PLAIN `+b64("\x00alice\x00"+secret)+`
		S: 235
		C: NOOP `+strings.Repeat("x", 3000)+`
		S: 500 5.5.2
	`)
	if longest != secret {
		t.Errorf("a password of %d bytes arrived, want %d", len(longest), len(secret))
	}
}

// What agents have allowed somebody who in the end could not log in, or who
// logged in before STARTTLS, is not left to the session.
func TestWhatALoginAllowedEndsWithIt(t *testing.T) {
	s := withTLS(t, smtpserver.TLSOffered)
	s.AllowInsecureAuth, s.Limits.MessageSize = true, 1000
	s.Auth = smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return nil })
	s.Agents = []smtpserver.Agent{
		{Connect: func(_ context.Context, s *smtpserver.Session) error {
			s.SetMaxMessageSize(2000)
			return nil
		}},
		{Auth: func(_ context.Context, s *smtpserver.Session) error {
			s.SetMaxMessageSize(0)
			return nil
		}},
		{Auth: func(_ context.Context, s *smtpserver.Session) error {
			if s.Identity() == "mallory" {
				return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Account is locked"}
			}
			return nil
		}},
	}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("\x00mallory\x00x")+`
		S: 535
		C: MAIL FROM:<a@example.com> SIZE=2001
		S: 552
		C: AUTH PLAIN `+b64("\x00alice\x00x")+`
		S: 235
		C: MAIL FROM:<a@example.com> SIZE=2001
		S: 250
		C: RSET
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com> SIZE=2001
		S: 552
		C: MAIL FROM:<a@example.com> SIZE=2000
		S: 250
	`)
}

// Some clients leave the padding of base64 away, or send spaces that do not
// belong there: with the command and with later responses.
func TestBase64OfClients(t *testing.T) {
	full := b64("\x00alice\x00wonderland") // "AGFsaWNlAHdvbmRlcmxhbmQ="
	bare := strings.TrimRight(full, "=")
	for _, c := range []struct{ first, response, want string }{
		{"AUTH PLAIN " + full, "", "235"},
		{"AUTH PLAIN " + bare, "", "235"},
		{"AUTH PLAIN  " + bare, "", "235"},
		{"AUTH PLAIN", full, "235"},
		{"AUTH PLAIN", bare, "235"},
		{"AUTH PLAIN", " " + bare + " \t", "235"},
		{"AUTH PLAIN", " * ", "501 5.7.0"},
		{"AUTH PLAIN " + full + "=", "", "501 5.5.2"},
		{"AUTH PLAIN " + bare[:len(bare)-2], "", "501 5.5.2"}, // one character more than whole bytes
		{"AUTH PLAIN " + full + " " + full, "", "501 5.5.2"},
		{"AUTH PLAIN", full[:4] + "\r" + full[4:], "501 5.5.2"},
		{"AUTH PLAIN", "=" + bare, "501 5.5.2"},
	} {
		s := generous()
		s.Auth, s.AllowInsecureAuth = wonderland(), true
		srv := smtptest.NewServer(t, s)
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO client.example\r\n")
		conn.expect("250")
		conn.send(c.first + "\r\n")
		if c.response != "" {
			conn.expect("334")
			conn.send(c.response + "\r\n")
		}
		if got := conn.reply(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, %q: %q, want %q", c.first, c.response, got, c.want)
		}
	}
}
