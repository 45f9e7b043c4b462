package smtpserver

import (
	"strconv"
	"strings"
)

// Extension is a set of SMTP service extensions.
type Extension uint32

// The extensions that a server knows. Those of the first group are on unless
// Server.Disable has them; those of the second are promises that only the
// application can keep, and off unless Server.Enable has them. STARTTLS and
// AUTH follow from the server's other fields, and each is announced only
// where it can be used.
const (
	ExtSize                Extension = 1 << iota // SIZE (RFC 1870)
	ExtSizeValue                                 // SIZE with the limit's value
	ExtPipelining                                // PIPELINING (RFC 2920)
	Ext8BitMIME                                  // 8BITMIME (RFC 6152)
	ExtEnhancedStatusCodes                       // ENHANCEDSTATUSCODES (RFC 2034)
	ExtChunking                                  // CHUNKING (RFC 3030)
	ExtSMTPUTF8                                  // SMTPUTF8 (RFC 6531)
	ExtDSN                                       // DSN (RFC 3461)
	ExtLimits                                    // LIMITS (RFC 9422)
	ExtHelp                                      // HELP (RFC 5321)
	ExtStartTLS                                  // STARTTLS (RFC 3207)

	ExtBinaryMIME    // BINARYMIME (RFC 3030): the next hop must take it too
	ExtRequireTLS    // REQUIRETLS (RFC 8689)
	ExtDeliverBy     // DELIVERBY (RFC 2852)
	ExtMTPriority    // MT-PRIORITY (RFC 6710)
	ExtFutureRelease // FUTURERELEASE (RFC 4865), for up to Server.MaxHold
	ExtVrfy          // VRFY: announced; an Agent's Command answers it
	ExtExpn          // EXPN: announced; an Agent's Command answers it

	extDefault = ExtBinaryMIME - 1
)

// has says whether the extension is switched on.
func (srv *Server) has(e Extension) bool {
	return (extDefault|srv.Enable)&^srv.Disable&e != 0
}

// keywords are the lines of the EHLO reply after the first.
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
	add(ExtDSN, "DSN")
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

// limitsKeyword is LIMITS with what is bounded at all (RFC 9422, 4).
func (s *Session) limitsKeyword() string {
	k := ""
	if n := s.lim.Messages; n < noLimitInt {
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
