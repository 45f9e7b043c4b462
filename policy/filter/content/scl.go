package content

import (
	"math"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Bounds of a spam confidence level.
const (
	Trusted = -1 // not judged, from somebody who is trusted
	NoSpam  = 0
	Spam    = 9 // for sure
)

// A Rating is what was said of a message.
type Rating struct {
	Level int    // -1 to 9
	By    string // the agent whose level it is
}

type ratingKey struct{}

// rated is a rating and the message that it is for.
type rated struct {
	message *smtpserver.Message
	Rating
}

// Rate gives the message that s has in progress a spam confidence level. The
// highest level that it is given counts, except that Trusted stands against
// all others. Levels beyond the bounds are taken as the nearest bound.
func Rate(s *smtpserver.Session, level int, by string) {
	level = min(max(level, Trusted), Spam)
	if r, ok := RatingOf(s); ok && (r.Level == Trusted || level != Trusted && level <= r.Level) {
		return
	}
	s.SetValue(ratingKey{}, rated{s.Message(), Rating{level, by}})
}

// RatingOf is the rating of the message that s has in progress; false when
// nobody has rated it.
func RatingOf(s *smtpserver.Session) (Rating, bool) {
	r, ok := s.Value(ratingKey{}).(rated)
	return r.Rating, ok && r.message == s.Message()
}

// FromScore makes a level of a score as SpamAssassin and rspamd give it: 5 at
// the score that the scanner calls spam, 9 at not quite twice that, evenly
// between.
func FromScore(score, spam float64) int {
	level := math.Floor(score / spam * 5)
	if spam <= 0 || math.IsNaN(level) {
		return NoSpam
	}
	return int(min(max(level, NoSpam), Spam))
}
