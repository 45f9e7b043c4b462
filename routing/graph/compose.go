package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// idField is the header field that identifies a message of a queue, to find its item in
// Sent Items. The Message-ID is not enough: some machines use the same one for all
// messages.
const idField = "X-Bridgehead-Id"

// mark returns the value of idField.
func mark(m *queue.Message) string {
	sum := sha256.Sum256([]byte(m.ID))
	return hex.EncodeToString(sum[:16])
}

// key returns a form of an address that is the same for addresses that differ only in
// the case of letters.
func key(address string) addr.Key {
	local, domain := addr.Split(address)
	return addr.KeyOf(addr.FoldLocal(local) + "@" + domain)
}

// compose returns the message for Graph, whose To, Cc and Bcc contain exactly rcpts,
// and its Message-ID.
func compose(m *queue.Message, rcpts []*queue.Recipient) (text []byte, id string, err error) {
	var raw bytes.Buffer
	raw.Grow(int(m.Content.Size()))
	if _, err := m.Content.WriteTo(&raw); err != nil {
		return nil, "", err
	}
	c := composer{want: make(map[addr.Key]bool, len(rcpts)), have: make(map[addr.Key]bool), seen: make(map[string]bool)}
	for _, r := range rcpts {
		if problem := addr.NotOnWire(r.Addr); problem != "" || r.Addr == "" {
			return nil, "", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "A recipient " + or(problem, "is empty")}
		}
		c.want[key(r.Addr)] = true
	}
	var s header.Scanner
	s.Scan(raw.Bytes(), true)
	for f := range header.All(s.Section(raw.Bytes())) {
		c.field(f)
	}
	if c.id == "" {
		_, domain := addr.Split(m.From)
		c.id = "<" + mark(m) + "@" + domain + ">"
		c.out.WriteString("Message-ID: " + c.id + "\r\n")
	}
	c.out.WriteString(idField + ": " + mark(m) + "\r\n")
	c.bcc(rcpts)
	rest := raw.Bytes()[s.End:]
	if !bytes.HasPrefix(rest, []byte("\r\n")) && !bytes.HasPrefix(rest, []byte("\n")) {
		c.out.WriteString("\r\n")
	}
	c.out.Write(rest)
	return c.out.Bytes(), c.id, nil
}

// A composer writes a header section.
type composer struct {
	out  bytes.Buffer
	want map[addr.Key]bool // the recipients
	have map[addr.Key]bool // those in To and Cc
	seen map[string]bool   // the fields that may occur once (RFC 5322, 3.6)
	id   string
}

// field writes a field of the message, possibly in another form.
func (c *composer) field(f header.Field) {
	switch name := addr.Lower(strings.TrimRight(f.Name(), " \t")); name {
	case "bcc", "resent-bcc", addr.Lower(idField):
	case "to", "cc", "resent-to", "resent-cc":
		c.addresses(name, f)
	case "message-id":
		if value := f.Value(); c.id == "" && isMessageID(value) {
			c.id = value
			c.out.Write(f)
		} else {
			c.old(f)
		}
	default:
		c.out.Write(f)
	}
}

// addresses writes an address field. The field stays as it is if all its addresses
// are recipients and all programs find the same ones in it.
func (c *composer) addresses(name string, f header.Field) {
	_, value := f.Cut()
	found, err := header.Addresses(value)
	_, strict := header.Recipients(value)
	unchanged := err == nil && strict == nil && len(found) > 0 && !strings.ContainsAny(value, "():;")
	resent := strings.HasPrefix(name, "resent-")
	var kept []string
	for _, a := range found {
		switch k := key(a.Addr); {
		case !c.want[k] || a.InName || err != nil:
			unchanged = false
		case !resent && !c.have[k] && !c.seen[name]:
			kept = append(kept, a.Addr)
		}
	}
	if c.seen[name] && !resent || !unchanged && resent {
		// Programs may read only the first field, so the recipients of the second
		// one are in Bcc.
		c.old(f)
		return
	}
	c.seen[name] = true
	for _, a := range kept {
		c.have[key(a)] = true
	}
	if unchanged {
		c.out.Write(f)
		return
	}
	c.old(f)
	c.list(map[string]string{"to": "To", "cc": "Cc"}[name], kept)
}

// old writes a field under another name.
func (c *composer) old(f header.Field) {
	c.out.WriteString("Old-")
	c.out.Write(f)
}

// bcc writes the field Bcc with the recipients that are not in To and Cc.
func (c *composer) bcc(rcpts []*queue.Recipient) {
	var hidden []string
	for _, r := range rcpts {
		if k := key(r.Addr); !c.have[k] {
			c.have[k] = true
			hidden = append(hidden, r.Addr)
		}
	}
	c.list("Bcc", hidden)
}

// list writes an address field, one address on each line.
func (c *composer) list(name string, addresses []string) {
	if len(addresses) > 0 {
		fmt.Fprintf(&c.out, "%s: %s\r\n", name, strings.Join(addresses, ",\r\n "))
	}
}

// isMessageID reports whether a Message-ID can be searched for: angle brackets and
// visible ASCII characters in between.
func isMessageID(s string) bool {
	if len(s) < 3 || len(s) > 900 || s[0] != '<' || strings.IndexByte(s, '>') != len(s)-1 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
