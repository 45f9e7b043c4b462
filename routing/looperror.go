package routing

import "github.com/emersion/go-smtp"

// A LoopError reports that mail would come back to this relay.
type LoopError struct {
	Domain    string // the domain whose best MX host is this relay
	SmartHost string // or the smart host that is this relay
}

func (e *LoopError) Error() string { return e.SMTP().Message }

// SMTP returns the reply for the error: 5.4.6 for a domain whose best MX host
// is this relay, 5.3.5 for a smart host that is this relay.
func (e *LoopError) SMTP() *smtp.SMTPError {
	if e.SmartHost != "" {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 3, 5},
			Message: "Configured to loop to itself: smart host " + e.SmartHost}
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 6},
		Message: "Mail for " + e.Domain + " loops back to this relay"}
}

// As lets errors.As find the *smtp.SMTPError.
func (e *LoopError) As(target any) bool { return asSMTP(target, e) }

func asSMTP(target any, e interface{ SMTP() *smtp.SMTPError }) bool {
	t, ok := target.(**smtp.SMTPError)
	if ok {
		*t = e.SMTP()
	}
	return ok
}
