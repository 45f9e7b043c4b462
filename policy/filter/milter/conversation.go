package milter

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
	"weak"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A conversation is one connection to the milter, for one SMTP session. Only the
// goroutine of the session uses it.
type conversation struct {
	c       *Client
	guard   *guard
	session *gomilter.ClientSession // which speaks through the guard

	accepted bool                             // the milter has accepted the whole session and gets no more events
	message  weak.Pointer[smtpserver.Message] // the last message that the milter got
	settled  bool                             // the milter has decided about message and gets no more of its events
	open     bool                             // message has not ended yet
}

// replyAllowance is the number of bytes that a milter may send for an event, in
// addition to the size of the message: replies, progress, changes.
const replyAllowance = 4 << 20

// begin connects to the milter and sends the client's connection, and its HELO if
// the client has sent one already.
func (c *Client) begin(ctx context.Context, s *smtpserver.Session) (*conversation, reply, error) {
	d := net.Dialer{Timeout: c.connectTimeout()}
	conn, err := d.DialContext(ctx, c.network(), c.Address)
	if err != nil {
		return nil, reply{}, err
	}
	v := &conversation{c: c, guard: newGuard(conn)}
	var r reply
	err = v.within(ctx, c.commandTimeout(), 0, func() error {
		if err := v.negotiate(); err != nil {
			return err
		}
		if r, err = v.connect(s); err != nil || r != proceed || s.Helo() == "" {
			return err
		}
		r, err = v.helo(s)
		return err
	})
	if err != nil {
		v.hangUp()
		return nil, reply{}, err
	}
	return v, r, nil
}

// within runs f with a deadline, which expires early when ctx ends and which the
// milter cannot extend. It limits what the milter may send to size and
// replyAllowance.
func (v *conversation) within(ctx context.Context, d time.Duration, size int64, f func() error) error {
	if err := v.guard.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	v.guard.budget = size + replyAllowance
	stop := context.AfterFunc(ctx, func() { v.guard.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return f()
}

// quit sends QUIT, which aborts an open message, and closes the connection.
func (v *conversation) quit() {
	if v.within(context.Background(), time.Second, 0, v.session.Close) != nil {
		v.c.debug("QUIT could not be sent")
	}
	v.hangUp()
}

// hangUp closes the connection without QUIT, because go-milter does not close it
// after an error.
func (v *conversation) hangUp() { v.guard.Conn.Close() }

// step sends the macros of an event and the event, unless the milter does not
// want it.
func (v *conversation) step(code gomilter.Code, unwanted gomilter.OptProtocol, macros []string, ask func() (reply, error)) (reply, error) {
	if v.without(unwanted) {
		return proceed, nil
	}
	if err := v.macros(code, macros); err != nil {
		return reply{}, err
	}
	return ask()
}

// clientAddr returns the client's address. Milters treat a client without an
// address as the local host. If a proxy does not give the client's address,
// clientAddr returns 0.0.0.0, because such a client must not be trusted.
func clientAddr(s *smtpserver.Session) (netip.AddrPort, bool) {
	if s.RemoteAddr().Network() == "unknown" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0), true
	}
	a, err := netip.ParseAddrPort(s.RemoteAddr().String())
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), err == nil
}

func (v *conversation) connect(s *smtpserver.Session) (reply, error) {
	name, family, port, text := "unknown", gomilter.FamilyUnknown, uint16(0), ""
	if a, ok := clientAddr(s); ok {
		ip := a.Addr()
		name, family, port, text = "["+ip.String()+"]", gomilter.FamilyInet, a.Port(), ip.String()
		if ip.Is6() {
			family, text = gomilter.FamilyInet6, "IPv6:"+ip.String()
		}
	}
	return v.step(gomilter.CodeConn, gomilter.OptNoConnect, connectMacros(s), func() (reply, error) {
		return parseReply(v.session.Conn(name, family, port, text))
	})
}

// helo sends the client's name in its safe form, because milters write it into
// header fields. Postfix also removes the characters of comments.
func (v *conversation) helo(s *smtpserver.Session) (reply, error) {
	return v.step(gomilter.CodeHelo, gomilter.OptNoHelo, heloMacros(s), func() (reply, error) {
		return parseReply(v.session.Helo(s.Helo()))
	})
}

// mail begins a message. It first aborts a message that ended without a notice
// to the milter.
func (v *conversation) mail(s *smtpserver.Session, m *smtpserver.Message) (reply, error) {
	if v.open {
		if err := v.session.Abort(); err != nil {
			return reply{}, err
		}
	}
	v.message, v.open, v.settled = weak.Make(m), true, false
	return v.step(gomilter.CodeMail, gomilter.OptNoMailFrom, mailMacros(s, m), func() (reply, error) {
		return parseReply(v.session.Mail(clean(m.From), nil))
	})
}

func (v *conversation) rcpt(m *smtpserver.Message, to string) (reply, error) {
	return v.step(gomilter.CodeRcpt, gomilter.OptNoRcptTo, rcptMacros(m, to), func() (reply, error) {
		return parseReply(v.session.Rcpt(clean(to), nil))
	})
}

// data sends DATA, for which go-milter has no method.
func (v *conversation) data(m *smtpserver.Message) (reply, error) {
	return v.step(gomilter.CodeData, gomilter.OptNoData, messageMacros(m), func() (reply, error) {
		if _, err := v.guard.Write([]byte{0, 0, 0, 1, byte(gomilter.CodeData)}); err != nil {
			return reply{}, err
		}
		if v.without(gomilter.OptNoDataReply) {
			return proceed, nil
		}
		p, err := v.guard.receive()
		if err != nil {
			return reply{}, err
		}
		return parsePacket(p)
	})
}

// content sends header and body, without the end of the message. The reply is
// the milter's verdict, if it decides before the end.
func (v *conversation) content(m *smtpserver.Message) (reply, error) {
	if !v.without(gomilter.OptNoHeaders) {
		for _, f := range m.Header.Fields() {
			if r, err := parseReply(v.session.HeaderField(v.field(f))); err != nil || r != proceed {
				return r, err
			}
		}
	}
	r, err := v.step(gomilter.CodeEOH, gomilter.OptNoEOH, messageMacros(m), func() (reply, error) {
		return parseReply(v.session.HeaderEnd())
	})
	if err != nil || r != proceed || v.without(gomilter.OptNoBody) {
		return r, err
	}
	return v.body(m)
}

func (v *conversation) body(m *smtpserver.Message) (reply, error) {
	v.guard.inBody, v.guard.skip = true, false
	defer func() { v.guard.inBody = false }()
	r := io.NewSectionReader(m.Body, 0, m.Body.Size())
	b := make([]byte, min(r.Size(), gomilter.MaxBodyChunk))
	for left := r.Size(); left > 0 && !v.guard.skip; left -= int64(len(b)) {
		b = b[:min(left, gomilter.MaxBodyChunk)]
		if _, err := io.ReadFull(r, b); err != nil {
			return reply{}, err
		}
		if rep, err := parseReply(v.session.BodyChunk(b)); err != nil || rep != proceed {
			return rep, err
		}
	}
	return proceed, nil
}

// field returns a header field in the milter's form: line ends in the value are
// bare LF, and the space after the colon is included only if the milter wants it.
// The value is cut to fit into a packet of 64 KiB, because libmilter closes the
// connection after a larger one.
func (v *conversation) field(f smtpserver.Field) (name, value string) {
	_, value, _ = strings.Cut(string(f), ":")
	value = strings.ReplaceAll(strings.TrimSuffix(value, "\r\n"), "\r\n", "\n")
	if !v.without(gomilter.OptHeaderLeadingSpace) {
		value = strings.TrimPrefix(value, " ")
	}
	name, value = clean(f.Name()), clean(value)
	return name, value[:min(len(value), max(gomilter.MaxBodyChunk-len(name)-2, 0))]
}

// end sends the end of the message, and reads the milter's changes and verdict.
func (v *conversation) end(m *smtpserver.Message) ([]gomilter.ModifyAction, reply, error) {
	if err := v.macros(gomilter.CodeEOB, endMacros(m)); err != nil {
		return nil, reply{}, err
	}
	changes, act, err := v.session.End()
	r, err := parseReply(act, err)
	v.open = err != nil
	return changes, r, err
}
