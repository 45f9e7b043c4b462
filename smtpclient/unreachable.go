package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-smtp"
)

// unreachable returns the result if no session could be opened with any host:
// the first reply of a host if there is one, otherwise the error of the last
// address. errs has one error for each address that was tried. If no address was
// tried, errs is empty and err is the reason.
func unreachable(ctx context.Context, errs []error, err error) Result {
	r := Result{Outcome: Unreachable, Addr: lastAddr(errs), Err: err}
	if ctx.Err() != nil {
		r.Outcome, r.Reply, r.Err = Deferred, *ownReply(451, 4, 3, 2, "delivery was interrupted"), errors.Join(err, context.Cause(ctx))
		return r
	}
	var refusal *smtp.SMTPError
	if len(errs) == 0 {
		// The error comes from Destination.Hosts. If it is a reply, it decides.
		if !errors.As(err, &refusal) {
			refusal = ownReply(451, 4, 4, 3, fmt.Sprintf("cannot find the hosts of the destination: %v", err))
		} else if refusal.Code/100 == 5 {
			r.Outcome = Failure
		}
		r.Reply = *refusal
		return r
	}
	for _, e := range errs {
		var at *hostError
		if errors.As(e, &refusal) && errors.As(e, &at) {
			r.Host, r.Addr, r.Reply = at.host, at.addr, *refusal
			return r
		}
	}
	r.Reply = *sessionReply(errs[len(errs)-1])
	return r
}

// lastAddr returns the address that was tried last, or "" if a policy excluded
// all hosts.
func lastAddr(errs []error) string {
	for _, err := range slices.Backward(errs) {
		var at *hostError
		if errors.As(err, &at) && !at.excluded {
			return at.addr
		}
	}
	return ""
}

// sessionReply returns a reply of our own for the failure to open a session.
func sessionReply(err error) *smtp.SMTPError {
	var policy *TLSError
	var proto *ProtocolError
	var dial *dialError
	var broken *tlsFailure
	switch {
	case errors.As(err, &policy):
		if errors.Is(err, errNoSTARTTLS) || errors.Is(err, errAuthPlain) || errors.Is(err, errAuthOldTLS) || errors.Is(err, errNoMechanism) {
			return ownReply(451, 4, 7, 4, err.Error())
		}
		return ownReply(451, 4, 7, 5, err.Error())
	case errors.Is(err, errHandshake), errors.As(err, &broken) && broken.when == tlsLate:
		return ownReply(451, 4, 7, 5, err.Error())
	case errors.Is(err, errNoMechanism):
		return ownReply(451, 4, 7, 4, err.Error())
	case errors.Is(err, errFull), errors.Is(err, errBusy):
		return ownReply(451, 4, 4, 5, err.Error())
	case errors.As(err, &proto):
		return ownReply(451, 4, 5, 0, err.Error())
	case errors.As(err, &dial):
		return ownReply(451, 4, 4, 1, err.Error())
	}
	return ownReply(451, 4, 4, 2, err.Error())
}
