package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A conversation is one connection to the milter, about one SMTP session. It
// is used on that session's goroutine only.
type conversation struct {
	c    *Client
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer

	actions, steps uint32

	accepted bool                // the whole session: the milter wants to hear no more of it
	message  *smtpserver.Message // the one that it was told of last
	settled  bool                // of which it wants to hear no more
	open     bool                // and which has not ended yet
}

// begin connects and tells the milter of the client, and of its HELO where
// that came already.
func (c *Client) begin(ctx context.Context, s *smtpserver.Session) (*conversation, reply, error) {
	d := net.Dialer{Timeout: c.connectTimeout()}
	conn, err := d.DialContext(ctx, c.network(), c.Address)
	if err != nil {
		return nil, reply{}, err
	}
	v := &conversation{c: c, conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	var r reply
	err = v.within(ctx, c.commandTimeout(), func() error {
		if err := v.negotiate(); err != nil {
			return err
		}
		if r, err = v.connect(s); err != nil || r.act != actContinue || s.Helo() == "" {
			return err
		}
		r, err = v.helo(s, s.Helo())
		return err
	})
	if err != nil {
		conn.Close()
		return nil, reply{}, err
	}
	return v, r, nil
}

// within runs f with a deadline, which also comes when ctx ends.
func (v *conversation) within(ctx context.Context, d time.Duration, f func() error) error {
	if err := v.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { v.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return f()
}

func (v *conversation) quit() {
	if v.within(context.Background(), time.Second, func() error {
		if err := writePacket(v.w, cmdQuit); err != nil {
			return err
		}
		return v.w.Flush()
	}) != nil {
		v.c.debug("QUIT could not be sent")
	}
	v.conn.Close()
}

// read reads the next packet that is no sign of progress. Progress does not
// move the deadline: the whole command has its time.
func (v *conversation) read() (byte, []byte, error) {
	if err := v.w.Flush(); err != nil {
		return 0, nil, err
	}
	for {
		cmd, data, err := readPacket(v.r)
		if err != nil || cmd != actProgress {
			return cmd, data, err
		}
	}
}

// command sends macros and a command, and reads the reply unless the milter
// gives none.
func (v *conversation) command(cmd byte, noReply uint32, macros []string, data []byte) (reply, error) {
	if len(macros) > 0 {
		if err := writePacket(v.w, cmdMacro, []byte{cmd}, cstrings(macros...)); err != nil {
			return reply{}, err
		}
	}
	if err := writePacket(v.w, cmd, data); err != nil {
		return reply{}, err
	}
	if v.without(noReply) {
		return reply{act: actContinue}, nil
	}
	act, data, err := v.read()
	if err != nil {
		return reply{}, err
	}
	return parseReply(act, data)
}

var proceed = reply{act: actContinue}

func (v *conversation) connect(s *smtpserver.Session) (reply, error) {
	if v.without(noConnect) {
		return proceed, nil
	}
	name, family, port, text := "unknown", byte('U'), uint16(0), ""
	if a, err := netip.ParseAddrPort(s.RemoteAddr().String()); err == nil {
		ip := a.Addr().Unmap().WithZone("")
		name, family, port, text = "["+ip.String()+"]", '4', a.Port(), ip.String()
		if ip.Is6() {
			family, text = '6', "IPv6:"+ip.String()
		}
	}
	data := append(cstrings(name), family)
	if family != 'U' {
		data = binary.BigEndian.AppendUint16(data, port)
		data = append(data, cstrings(text)...)
	}
	return v.command(cmdConnect, nrConnect, v.connectMacros(s), data)
}

func (v *conversation) helo(s *smtpserver.Session, name string) (reply, error) {
	if v.without(noHelo) {
		return proceed, nil
	}
	return v.command(cmdHelo, nrHelo, heloMacros(s), cstrings(name))
}

// mail begins a message. One that ended without the milter's knowledge is
// aborted first.
func (v *conversation) mail(s *smtpserver.Session, m *smtpserver.Message) (reply, error) {
	if v.open {
		if err := writePacket(v.w, cmdAbort); err != nil {
			return reply{}, err
		}
	}
	v.message, v.open, v.settled = m, true, false
	if v.without(noMail) {
		return proceed, nil
	}
	return v.command(cmdMail, nrMail, mailMacros(s, m), cstrings("<"+m.From+">"))
}

func (v *conversation) rcpt(m *smtpserver.Message, to string) (reply, error) {
	if v.without(noRcpt) {
		return proceed, nil
	}
	return v.command(cmdRcpt, nrRcpt, []string{"i", m.ID, "{rcpt_addr}", to}, cstrings("<"+to+">"))
}

func (v *conversation) data(m *smtpserver.Message) (reply, error) {
	if v.without(noData) {
		return proceed, nil
	}
	return v.command(cmdData, nrData, []string{"i", m.ID}, nil)
}

// content sends header and body, up to the end of the message. The reply is
// the milter's judgement, if it comes before that end.
func (v *conversation) content(m *smtpserver.Message) (reply, error) {
	if !v.without(noHeaders) {
		for _, f := range m.Header.Fields() {
			if r, err := v.command(cmdHeader, nrHeader, nil, v.field(f)); err != nil || r.act != actContinue {
				return r, err
			}
		}
	}
	if !v.without(noEOH) {
		if r, err := v.command(cmdEOH, nrEOH, []string{"i", m.ID}, nil); err != nil || r.act != actContinue {
			return r, err
		}
	}
	if !v.without(noBody) {
		return v.body(m)
	}
	return proceed, nil
}

func (v *conversation) body(m *smtpserver.Message) (reply, error) {
	b := make([]byte, min(m.Body.Size(), maxChunk))
	for r := io.NewSectionReader(m.Body, 0, m.Body.Size()); ; {
		n, err := io.ReadFull(r, b)
		if n == 0 && err == io.EOF {
			return proceed, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return reply{}, err
		}
		rep, err := v.command(cmdBody, nrBody, nil, b[:n])
		switch {
		case err != nil:
			return reply{}, err
		case rep.act == actSkip:
			return proceed, nil
		case rep.act != actContinue:
			return rep, nil
		}
	}
}

// field is a header field in the milter's form: line ends within it are LF
// alone, and the space after the colon is there only where it wants it.
func (v *conversation) field(f smtpserver.Field) []byte {
	_, value, _ := strings.Cut(string(f), ":")
	value = strings.ReplaceAll(strings.TrimSuffix(value, "\r\n"), "\r\n", "\n")
	if !v.without(leadingSpace) {
		value = strings.TrimPrefix(value, " ")
	}
	return cstrings(f.Name(), value)
}

// end tells the milter that the message is complete, and reads what it wants
// changed and how it judges.
func (v *conversation) end(m *smtpserver.Message) ([]change, reply, error) {
	if err := writePacket(v.w, cmdMacro, []byte{cmdEOM}, cstrings("i", m.ID)); err != nil {
		return nil, reply{}, err
	}
	if err := writePacket(v.w, cmdEOM); err != nil {
		return nil, reply{}, err
	}
	var changes []change
	// What it sends back may be as long as the message and a little more.
	limit := m.Header.Size() + m.Body.Size() + 4<<20
	for total := int64(0); ; {
		act, data, err := v.read()
		if err != nil {
			return nil, reply{}, err
		}
		if !isChange(act) {
			r, err := parseReply(act, data)
			v.open = err != nil
			return changes, r, err
		}
		if total += int64(len(data)) + 64; total > limit {
			return nil, reply{}, fmt.Errorf("%w: the changes have more than %d bytes", errProtocol, limit)
		}
		changes = append(changes, change{act, data})
	}
}
