package smtpserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
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

// A refused token counts as a failed login, even if the client does not wait
// for the end of the exchange.
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

func (c xoauth2Client) Start() (string, []byte, error) { return "XOAUTH2", []byte(c), nil }

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

func TestAuthsOffersAll(t *testing.T) {
	s := withTLS(t, smtpserver.TLSImplicit)
	deny := func(context.Context, *smtpserver.Session, string, string) (string, error) {
		return "", errors.New("no")
	}
	unknown := func(context.Context, *smtpserver.Session, string) (smtpserver.ScramCredentials, error) {
		return smtpserver.ScramCredentials{}, errors.New("unknown user")
	}
	s.Auth = smtpserver.Auths(wonderland(), smtpserver.BearerAuth(deny), smtpserver.ScramAuth(unknown), wonderland())
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

// A response may have at most 12288 bytes (RFC 4954, 4). An agent can refuse a
// client that has authenticated.
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

// If a login fails in the end, or came before STARTTLS, the session does not
// keep what agents have allowed because of it.
func TestFailedLoginLeavesNoRights(t *testing.T) {
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

// Some clients omit the padding of base64 or send additional spaces, in the
// command and in later responses.
func TestUnusualBase64(t *testing.T) {
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
