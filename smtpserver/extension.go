package smtpserver

import (
	"strconv"
	"strings"
)

// Extension is a set of SMTP service extensions.
type Extension uint32

// The extensions of a server. The first group is on by default, and
// Server.Disable switches them off. The second group is off by default, because
// they need support from the application, and Server.Enable switches them on.
// AUTH depends on Server.Auth, and STARTTLS also on Server.TLSConfig and
// Server.TLSMode. The server announces each extension only when the client can
// use it.
const (
	ExtSize                Extension = 1 << iota // SIZE (RFC 1870)
	ExtSizeValue                                 // announces the limit with SIZE
	ExtPipelining                                // PIPELINING (RFC 2920)
	Ext8BitMIME                                  // 8BITMIME (RFC 6152)
	ExtEnhancedStatusCodes                       // ENHANCEDSTATUSCODES (RFC 2034)
	ExtChunking                                  // CHUNKING (RFC 3030)
	ExtSMTPUTF8                                  // SMTPUTF8 (RFC 6531)
	ExtDSN                                       // DSN (RFC 3461)
	ExtLimits                                    // LIMITS (RFC 9422)
	ExtHelp                                      // HELP (RFC 5321)
	ExtStartTLS                                  // STARTTLS (RFC 3207)

	ExtBinaryMIME    // BINARYMIME (RFC 3030): the next hop must support it too
	ExtRequireTLS    // REQUIRETLS (RFC 8689)
	ExtDeliverBy     // DELIVERBY (RFC 2852)
	ExtMTPriority    // MT-PRIORITY (RFC 6710)
	ExtFutureRelease // FUTURERELEASE (RFC 4865), for up to Server.MaxHold
	ExtVrfy          // announces VRFY; an Agent's Command answers it
	ExtExpn          // announces EXPN; an Agent's Command answers it

	extDefault = ExtBinaryMIME - 1
)

// has reports whether the extension is on.
func (srv *Server) has(e Extension) bool {
	return (extDefault|srv.Enable)&^srv.Disable&e != 0
}

// keywords returns the lines of the EHLO reply after the first.
func (s *Session) keywords() []string {
	srv := s.srv
	k := make([]string, 0, 20)
	add := func(e Extension, keyword string) {
		if srv.has(e) {
			k = append(k, keyword)
		}
	}
	switch {
	case srv.has(ExtSize) && srv.has(ExtSizeValue) && s.maxSize < noLimit:
		k = append(k, "SIZE "+strconv.FormatInt(s.maxSize, 10))
	default:
		add(ExtSize, "SIZE")
	}
	add(ExtPipelining, "PIPELINING")
	add(Ext8BitMIME, "8BITMIME")
	add(ExtSMTPUTF8, "SMTPUTF8")
	add(ExtEnhancedStatusCodes, "ENHANCEDSTATUSCODES")
	add(ExtChunking, "CHUNKING")
	if srv.has(ExtChunking) { // RFC 3030, 3: BINARYMIME needs CHUNKING
		add(ExtBinaryMIME, "BINARYMIME")
	}
	if s.dsn {
		k = append(k, "DSN")
	}
	if s.canStartTLS() {
		k = append(k, "STARTTLS")
	}
	if m := s.mechanisms(); len(m) > 0 {
		k = append(k, "AUTH "+strings.Join(m, " "))
	}
	if s.hasModernTLS() { // RFC 8689, 3: only under TLS
		add(ExtRequireTLS, "REQUIRETLS")
	}
	if srv.has(ExtDeliverBy) {
		k = append(k, joinNonZero("DELIVERBY", int64(srv.MinDeliverBy.Seconds())))
	}
	add(ExtMTPriority, "MT-PRIORITY")
	if srv.has(ExtFutureRelease) {
		k = append(k, s.futureRelease())
	}
	if l := s.limitsKeyword(); srv.has(ExtLimits) && l != "" {
		k = append(k, l)
	}
	add(ExtVrfy, "VRFY")
	add(ExtExpn, "EXPN")
	add(ExtHelp, "HELP")
	if s.mayXClient() {
		k = append(k, "XCLIENT "+xclientAttributes)
	}
	for i := range srv.Agents {
		if a := &srv.Agents[i]; a.Keywords != nil {
			k = append(k, a.Keywords(s)...)
		}
	}
	return k
}

func joinNonZero(keyword string, n int64) string {
	if n == 0 {
		return keyword
	}
	return keyword + " " + strconv.FormatInt(n, 10)
}

// limitsKeyword returns the LIMITS keyword with the limits that are set (RFC
// 9422, 4).
func (s *Session) limitsKeyword() string {
	k := ""
	if n := s.lim.SessionMessages; n < noLimitInt {
		k += " MAILMAX=" + strconv.Itoa(n)
	}
	if n := s.lim.Recipients; n < noLimitInt {
		k += " RCPTMAX=" + strconv.Itoa(n)
	}
	if k == "" {
		return ""
	}
	return "LIMITS" + k
}
