package smtpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// send is a conversation in which one message is sent; raw is all that comes
// after 354, and the reply has to begin with want.
func send(raw, want string) string {
	end := "C: QUIT\n\t\tS: 221\n\t\tEOF"
	if strings.HasPrefix(want, "550 5.6.11") { // bare bytes close the connection
		end = "EOF"
	}
	return fmt.Sprintf(`
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.net>
		C: DATA
		S: 250
		S: 250
		S: 354
		R: %q
		S: %s
		%s
	`, raw, want, end)
}

// The Handler gets the content as it was sent. See TestHeaderEnd for malformed
// headers.
func TestContent(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ name, raw, want string }{
		{"plain", "Subject: x\r\n\r\nbody\r\n.\r\n", "Subject: x\r\n\r\nbody\r\n"},
		{"empty", ".\r\n", ""},
		{"one empty line", "\r\n.\r\n", "\r\n"},
		{"header only", "Subject: x\r\n.\r\n", "Subject: x\r\n"},
		{"folded", "Subject: x\r\n y\r\n\tz\r\n\r\n.\r\n", "Subject: x\r\n y\r\n\tz\r\n\r\n"},
		{"dots", "\r\n..\r\n...\r\n.a\r\n..b.\r\n.\r\n", "\r\n.\r\n..\r\na\r\n.b.\r\n"},
		{"8 bit", "Subject: \xfc\r\n\r\n\xff\xfe\x80\r\n.\r\n", "Subject: \xfc\r\n\r\n\xff\xfe\x80\r\n"},
		{"long line", "\r\n" + long + "\r\n.\r\n", "\r\n" + long + "\r\n"},
		{"large header", "X: " + long + "\r\n\r\nbody\r\n.\r\n", "X: " + long + "\r\n\r\nbody\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := smtptest.NewServer(t, nil)
			smtptest.Talk(t, srv.Addr, send(c.raw, "250 2.0.0"))
			if got := srv.Inbox.Next(t).Text; got != c.want {
				t.Errorf("got %.200q\nwant %.200q", got, c.want)
			}
		})
	}
}

// Content of any size arrives complete, in memory and in a file, however the
// client splits its writes.
func TestContentInMemoryAndFile(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for _, size := range []int{1000, 64 << 10, 255 << 10, 257 << 10, 700 << 10, 3 << 20} {
		for _, declare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,declared=%v", size, declare), func(t *testing.T) {
				srv := smtptest.NewServer(t, nil)
				var content bytes.Buffer
				content.WriteString("Subject: test\r\n\r\n")
				for content.Len() < size {
					line := make([]byte, rnd.Intn(200))
					for i := range line {
						line[i] = byte('!' + rnd.Intn(90))
					}
					if rnd.Intn(10) == 0 && len(line) > 0 {
						line[0] = '.'
					}
					content.Write(line)
					content.WriteString("\r\n")
				}
				stuffed := strings.ReplaceAll(content.String(), "\n.", "\n..")
				mail := "MAIL FROM:<a@example.com>"
				if declare {
					mail += fmt.Sprintf(" SIZE=%d", content.Len())
				}
				var script strings.Builder
				script.WriteString("S: 220\nC: EHLO client.example\nS: 250\nC: " + mail + "\nS: 250\nC: RCPT TO:<b@example.net>\nS: 250\nC: DATA\nS: 354\n")
				fmt.Fprintf(&script, "R: %q\nS: 250\n", stuffed+".\r\n")
				smtptest.Talk(t, srv.Addr, script.String())
				if got := srv.Inbox.Next(t).Text; got != content.String() {
					t.Errorf("%d bytes came out of %d, or not the same", len(got), content.Len())
				}
			})
		}
	}
}

func TestMessageSize(t *testing.T) {
	limited := func() *smtpserver.Server {
		return &smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 1000, HeaderSize: 500}}
	}
	body := func(n int) string { return "\r\n" + strings.Repeat("x", n-4) + "\r\n" }
	t.Run("exactly the limit passes", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, send(body(1000)+".\r\n", "250"))
		if n := len(srv.Inbox.Next(t).Text); n != 1000 {
			t.Errorf("%d bytes", n)
		}
	})
	t.Run("one more does not, and the session goes on", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, send(body(1001)+".\r\n", "552 5.3.4"))
	})
	t.Run("dots that are stuffed do not count", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, send("\r\n"+strings.Repeat("..\r\n", 300)+".\r\n", "250"))
	})
	t.Run("one that never ends is cut off, not read as commands", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, `
			S: 220
			C: HELO client.example
			S: 250
			C: MAIL FROM:<a@example.com>
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			C: DATA
			S: 354
			R: "`+strings.Repeat(`RSET\r\n`, 1000)+`"
			S: 552 5.3.4
			EOF
		`)
	})
	t.Run("declared too large", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, `
			S: 220
			C: EHLO client.example
			S: 250 SIZE 1000
			C: MAIL FROM:<a@example.com> SIZE=1001
			S: 552 5.3.4
			C: MAIL FROM:<a@example.com> SIZE=99999999999999999999999
			S: 552 5.3.4
			C: MAIL FROM:<a@example.com> SIZE=0000000000000000000000001001
			S: 552 5.3.4
			C: MAIL FROM:<a@example.com> SIZE=99999999999999999999
			S: 552 5.3.4
			C: MAIL FROM:<a@example.com> SIZE=-1
			S: 501
			C: MAIL FROM:<a@example.com> SIZE=1000
			S: 250
		`)
	})
	t.Run("long header", func(t *testing.T) {
		srv := smtptest.NewServer(t, limited())
		smtptest.Talk(t, srv.Addr, send("X: "+strings.Repeat("x", 498)+"\r\n\r\n.\r\n", "552 5.3.4 Header"))
	})
	t.Run("no limit", func(t *testing.T) {
		srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{MessageSize: -1}, ContentBudget: &smtpserver.ContentBudget{Max: -1}})
		smtptest.Talk(t, srv.Addr, `
			S: 220
			C: EHLO client.example
			S: 250 SIZE
			C: MAIL FROM:<a@example.com> SIZE=999999999999
			S: 250
		`)
	})
}

func TestHopCount(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{Hops: 3}})
	hop := "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
	smtptest.Talk(t, srv.Addr, send(strings.Repeat(hop, 3)+"\r\n.\r\n", "250"))
	smtptest.Talk(t, srv.Addr, send(strings.Repeat(hop, 4)+"\r\n.\r\n", "554 5.4.6"))
}

// If the file cannot be created, the message is deferred, and the session
// continues.
func TestContentFileFails(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{
		Limits:      smtpserver.Limits{MemoryContent: 10},
		ContentFile: func() (*os.File, error) { return nil, os.ErrPermission },
	})
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nmore than ten bytes\r\n.\r\n", "452 4.3.1"))
}

// Every content file is closed: by the Handler if it accepted the message,
// otherwise by the server.
func TestContentFileIsClosed(t *testing.T) {
	var files []*os.File
	dir := t.TempDir()
	opened, gone := make(chan bool, 10), make(chan bool, 10)
	srv := smtptest.NewServer(t, &smtpserver.Server{
		Limits: smtpserver.Limits{MemoryContent: 10},
		ContentFile: func() (*os.File, error) {
			f, err := os.CreateTemp(dir, "")
			files = append(files, f)
			opened <- true
			return f, err
		},
		Agents: []smtpserver.Agent{{
			EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
				if m.Header.Get("Subject") == "refuse" {
					return &smtp.SMTPError{Code: 550, Message: "No"}
				}
				return nil
			},
			Disconnect: func(context.Context, *smtpserver.Session) { gone <- true },
		}},
	})
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nmore than ten bytes\r\n.\r\n", "250"))
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nmore than ten bytes\n\r\n.\r\n", "550 5.6.11"))
	smtptest.Talk(t, srv.Addr, send("Subject: refuse\r\n\r\nmore than ten bytes\r\n.\r\n", "550 5.0.0 No"))
	c, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-opened
	}
	smtptest.TalkOn(t, c, `
		S: 220
		C: HELO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.net>
		S: 250
		C: DATA
		S: 354
		R: "Subject: x\r\n\r\nmore than ten bytes, and then the client goes away\r\n"
	`)
	<-opened
	c.Close()
	for range 4 {
		<-gone
	}
	if m := srv.Inbox.Next(t); !strings.HasSuffix(m.Text, "more than ten bytes\r\n") {
		t.Errorf("content %q", m.Text)
	}
	for i, f := range files {
		if err := f.Close(); err == nil {
			t.Errorf("file %d of %d was left open", i, len(files))
		}
	}
}

// A Handler may keep the message and close it later, from another goroutine.
func TestHandlerClosesLater(t *testing.T) {
	var file *os.File
	kept := make(chan *smtpserver.Message, 1)
	srv := smtptest.NewServer(t, &smtpserver.Server{
		Limits: smtpserver.Limits{MemoryContent: 10},
		ContentFile: func() (f *os.File, err error) {
			file, err = os.CreateTemp(t.TempDir(), "")
			return file, err
		},
		Handler: smtpserver.HandlerFunc(func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
			kept <- m
			return "", nil
		}),
	})
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nmore than ten bytes\r\n.\r\n", "250"))
	srv.Close()
	m := <-kept
	var b bytes.Buffer
	if _, err := m.Content().WriteTo(&b); err != nil || b.String() != "Subject: x\r\n\r\nmore than ten bytes\r\n" {
		t.Errorf("content %q, %v", b.String(), err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err == nil {
		t.Error("Close left the file open")
	}
}
