package policy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// holder has held mail for alice only.
type holder struct{}

func (holder) ETRN(_ context.Context, identity, node string) smtp.SMTPError {
	if identity != "alice" {
		return smtp.SMTPError{Code: 459, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Node " + node + " not allowed"}
	}
	return smtp.SMTPError{Code: 253, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "OK, 3 pending messages for node " + node + " started"}
}

func (holder) ATRN(identity, domains string) (smtp.SMTPError, *spokenTurn) {
	if identity != "alice" {
		return smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}, nil
	}
	return smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "OK now reversing the connection"}, &spokenTurn{domains}
}

// spokenTurn reads the banner and sends the domains that were requested.
type spokenTurn struct{ domains string }

func (t *spokenTurn) Serve(_ context.Context, conn net.Conn) error {
	banner, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Fprintf(conn, "after %s: mail for %s\r\n", strings.TrimSpace(banner), t.domains)
	return errors.Join(err, errors.New("no more"))
}

func TestHeldMail(t *testing.T) {
	var log bytes.Buffer
	srv, _ := install(t, organization(), &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true,
		Logger: slog.New(slog.NewTextHandler(&log, nil)), Agents: []smtpserver.Agent{HeldMail(holder{})}})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO stranger.test
		S: 250 ETRN
		C: ETRN branch.example
		S: 459 4.7.1 Node branch.example not allowed
		C: ATRN branch.example
		S: 530 5.7.0
		C: HELP ETRN
		S: 214 2.0.0 Syntax: ETRN node
		C: HELP ATRN
		S: 504
		C: TURN
		S: 530 5.7.0
	`)
	conn, err := srv.Dial(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	smtptest.TalkOn(t, conn, `
		S: 220
		C: EHLO branch.example
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: EHLO branch.example
		S: 250 ATRN
		C: ETRN branch.example
		S: 253 2.0.0 OK, 3 pending messages for node branch.example started
		C: ATRN branch.example,b.example
		S: 250 2.0.0 OK now reversing the connection
		C: 220 branch.example
	`)
	// After this, the server acts as the client.
	said, err := io.ReadAll(conn)
	if want := "after 220 branch.example: mail for branch.example,b.example\r\n"; err != nil || string(said) != want {
		t.Errorf("the command was %q, %v; want %q", said, err, want)
	}
	if err := srv.Shutdown(t.Context()); err != nil { // and the log is complete
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `msg="reversed connection ended"`) || !strings.Contains(log.String(), `identity=alice err="no more"`) {
		t.Errorf("log:\n%s", log.String())
	}
}

// TURN reverses the connection of an account, and gives it all its mail. Others are
// refused, and their session goes on.
func TestTURN(t *testing.T) {
	srv, _ := install(t, organization(), &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true, Agents: []smtpserver.Agent{HeldMail(holder{})}})
	login := func(user, more string) net.Conn {
		t.Helper()
		conn, err := srv.Dial(stranger)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		password := []byte(user)
		slices.Reverse(password)
		smtptest.TalkOn(t, conn, `
			S: 220
			C: EHLO branch.example
			S: 250
			C: AUTH PLAIN `+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+string(password)))+`
			S: 235
			C: EHLO branch.example
			S: 250 TURN
			C: TURN now
			S: 501 5.5.4
			C: TURN
			`+more)
		return conn
	}
	login("mallory", `S: 530 5.7.0
		C: NOOP
		S: 250`)
	conn := login("alice", `S: 250 2.0.0 OK now reversing the connection
		C: 220 branch.example`)
	said, err := io.ReadAll(conn)
	if want := "after 220 branch.example: mail for \r\n"; err != nil || string(said) != want {
		t.Errorf("the relay said %q, %v; want %q", said, err, want)
	}
}
