package smtpserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// every is an Authenticator that offers all mechanisms. Only SCRAM has a user,
// alice, with the password wonderland.
func every(t *testing.T) smtpserver.Authenticator {
	cred, err := smtpserver.NewScramCredentials("wonderland", 4096)
	if err != nil {
		t.Fatal(err)
	}
	return smtpserver.Auths(
		wonderland(),
		smtpserver.CramMD5Auth(func(context.Context, *smtpserver.Session, string) (string, error) { return "wonderland", nil }),
		smtpserver.BearerAuth(func(_ context.Context, _ *smtpserver.Session, user, token string) (string, error) {
			if token != "wonderland" {
				return "", errors.New("bad token")
			}
			return user, nil
		}),
		smtpserver.ScramAuth(scramOf("alice", cred)),
	)
}

// loginWith runs a client of go-sasl's interface and returns the last reply.
func (c *raw) loginWith(client sasl.Client) string {
	c.t.Helper()
	mech, response, err := client.Start()
	if err != nil {
		c.t.Fatal(err)
	}
	command := "AUTH " + mech
	if response != nil {
		command += " " + b64(string(response))
	}
	for {
		c.send(command + "\r\n")
		reply := c.reply()
		if !strings.HasPrefix(reply, "334 ") {
			return reply
		}
		if response, err = client.Next(unb64(c.t, strings.TrimSpace(reply[4:]))); err != nil {
			c.t.Fatal(err)
		}
		command = b64(string(response))
	}
}

// All mechanisms count together. With SCRAM, the wrong password is a wrong
// proof. A bearer token counts once, although its refusal takes two steps.
func TestLoginLimitOfMechanisms(t *testing.T) {
	client := map[string]func(password string) sasl.Client{
		"PLAIN":    func(password string) sasl.Client { return sasl.NewPlainClient("", "alice", password) },
		"LOGIN":    func(password string) sasl.Client { return sasl.NewLoginClient("alice", password) },
		"CRAM-MD5": func(password string) sasl.Client { return cramClient{"alice", password} },
		"XOAUTH2": func(password string) sasl.Client {
			return xoauth2Client("user=alice\x01auth=Bearer " + password + "\x01\x01")
		},
		"SCRAM-SHA-256": func(password string) sasl.Client {
			return &scramClient{mech: "SCRAM-SHA-256", gs2: "n", user: "alice", password: password}
		},
	}
	for name, with := range client {
		t.Run(name, func(t *testing.T) {
			loginServers(t, func(dial func(int, string) *raw) {
				c := dial(0, "192.0.2.7")
				c.greet()
				for range 10 {
					wantReply(t, c.loginWith(with("guess")), wrongLogin)
				}
				for _, other := range client {
					wantReply(t, c.loginWith(other("wonderland")), tooManyFailed)
				}
				time.Sleep(time.Minute)
				wantReply(t, c.loginWith(with("wonderland")), "235")
			}, &smtpserver.Server{Auth: every(t)})
		})
	}
}

// The server counts a refused password although the client does not wait for
// the reply, which comes late (Limits.Tarpit), or for the end of the exchange.
func TestLoginLimitOfImpatientClients(t *testing.T) {
	for name, guess := range map[string]string{
		"PLAIN":   "AUTH PLAIN " + b64("\x00alice\x00guess"),
		"XOAUTH2": "AUTH XOAUTH2 " + b64("user=alice\x01auth=Bearer guess\x01\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			srv := &smtpserver.Server{Auth: every(t), Limits: smtpserver.Limits{Tarpit: time.Second}}
			loginServers(t, func(dial func(int, string) *raw) {
				for range 10 {
					c := dial(0, "192.0.2.7")
					c.greet()
					c.send(guess + "\r\n")
					synctest.Wait()
					c.Close()
				}
				c := dial(0, "192.0.2.7")
				c.greet()
				c.login("wonderland", tooManyFailed)
			}, srv)
		})
	}
}

// Only a password that was checked and refused counts.
func TestLoginLimitCountsOnlyFailedLogins(t *testing.T) {
	down := &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "The directory does not answer"}
	auth := smtpserver.Auths(every(t))
	for name, talk := range map[string]string{
		"canceled PLAIN":        "AUTH PLAIN|334|*|501 5.7.0",
		"canceled LOGIN":        "AUTH LOGIN|334|" + b64("alice") + "|334|*|501 5.7.0",
		"canceled CRAM-MD5":     "AUTH CRAM-MD5|334|*|501 5.7.0",
		"canceled SCRAM":        "AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|334|*|501 5.7.0",
		"bad base64":            "AUTH PLAIN|334|!|501 5.5.2",
		"malformed PLAIN":       "AUTH PLAIN " + b64("alice") + "|535",
		"no password":           "AUTH PLAIN " + b64("\x00alice\x00") + "|535",
		"for another identity":  "AUTH PLAIN " + b64("bob\x00alice\x00wonderland") + "|535",
		"malformed LOGIN":       "AUTH LOGIN|334|" + b64("a\x00b") + "|334|" + b64("x") + "|535",
		"malformed CRAM-MD5":    "AUTH CRAM-MD5|334|" + b64("alice") + "|535",
		"malformed digest":      "AUTH CRAM-MD5|334|" + b64("alice xyz") + "|535",
		"malformed XOAUTH2":     "AUTH XOAUTH2 " + b64("alice") + "|334||535",
		"malformed OAUTHBEARER": "AUTH OAUTHBEARER " + b64("n,a=alice") + "|334|" + b64("\x01") + "|535",
		"malformed SCRAM":       "AUTH SCRAM-SHA-256 " + b64("alice") + "|535",
		"SCRAM with a binding":  "AUTH SCRAM-SHA-256 " + b64("p=tls-exporter,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|535",
		"SCRAM without a proof": "AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|334|" + b64("x") + "|535",
		"unknown mechanism":     "AUTH GSSAPI|504",
		"directory down":        "AUTH PLAIN " + b64("\x00down\x00x") + "|454 4.7.0 The directory",
		"directory too slow":    "AUTH PLAIN " + b64("\x00slow\x00x") + "|535",
		"account locked":        "AUTH PLAIN " + b64("\x00locked\x00x") + "|535 5.7.8 Account",
	} {
		t.Run(name, func(t *testing.T) {
			srv := &smtpserver.Server{Auth: auth}
			switch name {
			case "directory down", "directory too slow", "account locked":
				srv.Auth = smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
					switch {
					case user == "down":
						return fmt.Errorf("ldap: %w", down)
					case user == "slow":
						return fmt.Errorf("ldap: %w", context.DeadlineExceeded)
					case user == "alice" && password != "wonderland":
						return errors.New("wrong")
					}
					return nil
				})
				srv.Agents = []smtpserver.Agent{{Auth: func(_ context.Context, s *smtpserver.Session) error {
					if s.Identity() == "locked" {
						return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Account is locked"}
					}
					return nil
				}}}
			}
			loginServers(t, func(dial func(int, string) *raw) {
				for range 12 {
					c := dial(0, "192.0.2.7")
					c.greet()
					for i, line := range strings.Split(talk, "|") {
						if i%2 == 0 {
							c.send(line + "\r\n")
						} else {
							c.expect(line)
						}
					}
					c.quit()
				}
				// What counts still counts.
				c := dial(0, "192.0.2.7")
				c.greet()
				for range 10 {
					c.login("guess", wrongLogin)
				}
				c.login("wonderland", tooManyFailed)
			}, srv)
		})
	}
}
