package pickup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// crlf makes every line end in CRLF. Files have the line endings of their system,
// and a message must not have a bare CR or LF (RFC 5321, 2.3.8).
func crlf(b []byte) []byte {
	bare := false
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') || c == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			bare = true
			break
		}
	}
	if bare {
		out := make([]byte, 0, len(b)+len(b)/32+2)
		for i, c := range b {
			switch {
			case c == '\n' && i > 0 && b[i-1] == '\r':
			case c == '\n' || c == '\r':
				out = append(out, '\r', '\n')
			default:
				out = append(out, c)
			}
		}
		b = out
	}
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b[:len(b):len(b)], '\r', '\n')
	}
	return b
}

// compose makes a message of a file in a pickup folder. It takes the envelope
// from the header, removes Bcc, and adds Date and Message-ID if they are missing.
func (f *Folder) compose(b []byte) (*queue.Message, error) {
	head, body, err := f.split(b)
	if err != nil {
		return nil, err
	}
	m := &queue.Message{Origin: queue.Origin{Connector: "pickup"}}
	var kept bytes.Buffer
	seen := map[string]string{}
	have := map[addr.Key]bool{}
	for field := range header.All(head) {
		name, value := strings.ToLower(field.Name()), field.Value()
		switch name {
		case "to", "cc", "bcc":
			if err := addTo(m, have, name, value); err != nil {
				return nil, err
			}
		case "from", "sender", "date", "message-id":
			if _, twice := seen[name]; twice {
				return nil, fmt.Errorf("pickup: more than one %s field", name)
			}
			seen[name] = value
		}
		if name != "bcc" {
			kept.Write(field)
		}
	}
	if m.From, err = sender(seen); err != nil {
		return nil, err
	}
	if len(m.Recipients) == 0 {
		return nil, errors.New("pickup: no recipient in To, Cc or Bcc")
	}
	if _, ok := seen["date"]; !ok {
		fmt.Fprintf(&kept, "Date: %s\r\n", time.Now().Format(time.RFC1123Z))
	}
	if _, ok := seen["message-id"]; !ok {
		fmt.Fprintf(&kept, "Message-ID: <%s@%s>\r\n", rand.Text(), f.hostname())
	}
	m.Options.Body = smtp.Body7Bit
	if !chars.ASCII(body) {
		m.Options.Body = smtp.Body8BitMIME
	}
	m.Options.UTF8 = !chars.ASCII(kept.Bytes())
	m.Content = queue.Bytes(kept.Bytes(), []byte("\r\n"), body)
	return m, nil
}

// split returns the header and the body of a message. The header ends where it
// would end in a message that is received by SMTP.
func (f *Folder) split(b []byte) (head, body []byte, err error) {
	var s header.Scanner
	s.Scan(b, true)
	head, body = s.Section(b), b[s.End+s.Blank:]
	if most := positive(f.MaxHeader, 64<<10); len(head) > most {
		return nil, nil, fmt.Errorf("pickup: the header has %d bytes, the limit is %d", len(head), most)
	}
	if s.Bare {
		return head, body, checkBare(body)
	}
	return head, body, nil
}

// checkBare returns an error if To, Cc or Bcc fields follow the line that ends
// the header. Their recipients would get nothing, and the other recipients would
// see a Bcc field.
func checkBare(body []byte) error {
	line, _, _ := bytes.Cut(body, []byte("\r\n"))
	block, _, _ := bytes.Cut(body, []byte("\r\n\r\n"))
	for f := range header.All(block) {
		name, _, _ := bytes.Cut(f, []byte(":"))
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "to", "cc", "bcc":
			return fmt.Errorf("pickup: the line %.60q ends the header, but recipient fields follow it", line)
		}
	}
	return nil
}

// sender returns the reverse-path: the address in Sender, or in From if that has
// one address.
func sender(seen map[string]string) (string, error) {
	name := "sender"
	if seen[name] == "" {
		name = "from"
	}
	if seen[name] == "" {
		return "", errors.New("pickup: no Sender or From field")
	}
	list, err := header.Recipients(seen[name])
	if err != nil {
		return "", fmt.Errorf("pickup: %s: %w", name, err)
	}
	if len(list) != 1 {
		return "", fmt.Errorf("pickup: %d addresses in %s, want one address in Sender or From", len(list), name)
	}
	return list[0], addr.Mailbox(list[0], true)
}

// addTo adds the addresses in a recipient field to m, except for those that m has.
func addTo(m *queue.Message, have map[addr.Key]bool, name, value string) error {
	list, err := header.Recipients(value) // an empty Bcc field has none
	if err != nil {
		return fmt.Errorf("pickup: %s: %w", name, err)
	}
	for _, to := range list {
		if err := addr.Mailbox(to, true); err != nil {
			return fmt.Errorf("pickup: %s: %w", name, err)
		}
		if key := addr.KeyOf(to); !have[key] {
			have[key] = true
			m.Recipients = append(m.Recipients, &queue.Recipient{Addr: to})
		}
	}
	return nil
}

func (f *Folder) hostname() string {
	if f.Hostname != "" {
		return f.Hostname
	}
	if h, err := os.Hostname(); err == nil {
		return h
	}
	return "localhost"
}
