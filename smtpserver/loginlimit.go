package smtpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// A LoginLimit limits how many passwords a client can try. It counts the failed
// logins of each address: an IPv4 address, or the /64 network of an IPv6
// address. Behind a proxy, it counts by the address of the client (from the
// PROXY header or XCLIENT). All clients whose proxy gives no address count as
// one, and so do all clients of Unix sockets. After Failures failed logins
// within Period, the server answers AUTH from that address with 454 4.7.0 until
// the Period is over, and does not check the password. A new connection or a
// correct password does not change the count. Clients that have logged in
// before continue.
//
// A failed login is one for which a mechanism has checked a password, a proof, a
// token or a certificate, and has refused it. These do not count:
//
//   - an exchange that the client cancels or does not finish;
//   - a malformed response;
//   - an error of the mechanism that is a *smtp.SMTPError with a code 4xx, 500,
//     501, 502, 503 or 504, for example 454 if a directory does not answer;
//   - context.Canceled and context.DeadlineExceeded;
//   - a refusal by Agent.Auth, which comes after a correct password.
//
// At most as many logins from one address are checked at the same time as may
// still fail. Further logins wait for their result, for 30 s at most.
//
// Use one LoginLimit for all Servers of a relay, so that they count together.
// gateway.Gateway does so by default. A LoginLimit is safe for concurrent use.
// Its fields must not change after first use.
type LoginLimit struct {
	// Failures is how many logins from one address may fail within Period.
	// Default 10. -1 means no limit.
	Failures int
	// Period is the time that begins with the first failed login of an address.
	// Default 1 minute.
	Period time.Duration
	// Exempt contains networks to which the limit does not apply. Use it for
	// hosts from which many users log in: webmail servers and the public
	// addresses of NAT networks. Default none: loopback addresses count too.
	Exempt []netip.Prefix
	// Addresses is how many addresses are remembered at the same time. Each
	// needs about 160 bytes. If there are more, an address with the fewest
	// failed logins is forgotten, and among those the oldest. So a stranger with
	// many addresses can neither make the LoginLimit forget an address that has
	// reached the limit, nor make it refuse clients that have no failed logins.
	// Default 32768.
	Addresses int

	mu       sync.Mutex // guards the fields below
	failed   loginTable
	checking map[netip.Addr]*loginChecks
}

// loginChecks are the logins from one address that are being checked now.
type loginChecks struct {
	n    int
	done chan struct{} // closed when one of them has ended
}

const loginCheckWait = 30 * time.Second

// Validate returns an error if a setting can never work.
func (l *LoginLimit) Validate() error {
	networks := checkNetworks(l.Exempt)
	if networks != nil {
		networks = fmt.Errorf("%s: %w", "Exempt", networks)
	}
	return settings.Join("smtpserver: LoginLimit.", settings.Optional("Failures", l.Failures),
		settings.Time("Period", l.Period), settings.Number("Addresses", l.Addresses), networks)
}

// loginPermit is the result of LoginLimit.begin.
type loginPermit int

const (
	loginChecked loginPermit = iota // check it and call end
	loginRefused                    // the address has reached the limit
	loginBusy                       // too many logins from the address are being checked
)

// begin asks for permission to check a login from an address. It waits until
// ctx ends if other logins from that address are being checked and decide
// whether the limit is reached.
func (l *LoginLimit) begin(ctx context.Context, ip netip.Addr) loginPermit {
	for {
		permit, wait := l.tryBegin(ip, time.Now())
		if permit != loginBusy {
			return permit
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return loginBusy
		}
	}
}

// tryBegin is begin without the wait. With loginBusy it returns the channel to
// wait for.
func (l *LoginLimit) tryBegin(ip netip.Addr, now time.Time) (loginPermit, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.most() - l.failed.count(ip, now, l.period())
	c := l.checking[ip]
	switch {
	case left <= 0:
		return loginRefused, nil
	case c == nil:
		if l.checking == nil {
			l.checking = make(map[netip.Addr]*loginChecks)
		}
		l.checking[ip] = &loginChecks{n: 1, done: make(chan struct{})}
	case c.n >= left:
		return loginBusy, c.done
	default:
		c.n++
	}
	return loginChecked, nil
}

// end ends a check. It reports whether the address has reached the limit with
// this failure.
func (l *LoginLimit) end(ip netip.Addr, failed bool) (reached bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed {
		reached = l.failed.add(ip, time.Now(), l.period(), l.addresses()) == l.most()
	}
	c := l.checking[ip]
	close(c.done)
	c.done = make(chan struct{})
	if c.n--; c.n == 0 {
		delete(l.checking, ip)
	}
	return reached
}

func (l *LoginLimit) most() int {
	if l.Failures == 0 {
		return 10
	}
	return l.Failures
}

func (l *LoginLimit) period() time.Duration {
	if l.Period == 0 {
		return time.Minute
	}
	return l.Period
}

func (l *LoginLimit) addresses() int {
	if l.Addresses == 0 {
		return 32768
	}
	return l.Addresses
}

// limitsLogins reports whether the server's LoginLimit applies to the client.
func (s *Session) limitsLogins() bool {
	l := s.srv.logins
	return l.Failures >= 0 && !within(s.remoteIP, l.Exempt)
}

// beginLogin asks the LoginLimit whether the server may check a login now. If
// not, ok is false, and the reply was sent.
func (s *Session) beginLogin() (ok bool, err error) {
	if !s.limitsLogins() {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(s.srv.open, s.waitAtMost(loginCheckWait))
	defer cancel()
	text := "Too many failed logins from your address, try again later"
	switch s.srv.logins.begin(ctx, source(s.countedIP())) {
	case loginChecked:
		return true, nil
	case loginBusy:
		if s.srv.closing.Load() {
			return false, s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
		}
		text = "Too many logins from your address at the same time, try again later"
	}
	s.identity = ""
	s.refuse(&verdict{reply: refusal(454, 4, 7, 0, text), by: "login limit"}) // RFC 4954, 6
	s.authFailures++
	return false, s.tooManyLogins()
}

// endLogin tells the LoginLimit the result of a check that beginLogin allowed.
func (s *Session) endLogin(failed bool) {
	if !s.limitsLogins() || !s.srv.logins.end(source(s.countedIP()), failed) {
		return
	}
	l := s.srv.logins
	s.traceInfo(fmt.Sprintf("login limit: %d failed logins from this address", l.most()))
	s.log(slog.LevelWarn, "login limit reached", slog.Int("failures", l.most()), slog.Duration("period", l.period()))
}

// next does one step of an exchange, if the LoginLimit allows it. stop is true
// if it does not.
func (s *Session) next(server sasl.Server, response []byte) (challenge []byte, done, stop bool, err error) {
	if refusedIn(server) != nil { // it was counted, and the mechanism checks nothing more
		challenge, done, err = server.Next(response)
		return challenge, done, false, err
	}
	if ok, err := s.beginLogin(); !ok {
		return nil, false, true, err
	}
	ended := false
	defer func() {
		if !ended { // a panic
			s.endLogin(false)
		}
	}()
	challenge, done, err = server.Next(response)
	ended = true
	s.endLogin(isFailedLogin(err) || isFailedLogin(refusedIn(server)))
	return challenge, done, false, err
}

// refusedIn returns the error for which a mechanism has refused the client in
// the challenge that it just returned, or nil. The exchange fails only after the
// client's response to that challenge, which may never come.
func refusedIn(server sasl.Server) error {
	if m, ok := server.(interface{ refused() error }); ok {
		return m.refused()
	}
	return nil
}

// isFailedLogin reports whether the error of a mechanism means that it has
// checked a password and refused it.
func isFailedLogin(err error) bool {
	var reply *smtp.SMTPError
	switch {
	case err == nil, errors.Is(err, sasl.ErrUnexpectedClientResponse), errors.Is(err, errNoLogin),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &reply):
		return reply.Code > 504
	}
	return true
}

// errNoLogin is wrapped by errors of mechanisms about responses that contain no
// password that was checked.
var errNoLogin = errors.New("no login")

// malformed returns an error that wraps errNoLogin.
func malformed(text string) error { return malformedResponse(text) }

type malformedResponse string

func (e malformedResponse) Error() string   { return string(e) }
func (malformedResponse) Is(err error) bool { return err == errNoLogin }
