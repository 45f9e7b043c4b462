package smtpserver

// Header is a message's header section: raw fields, byte for byte as they
// came, each with its folding and its line end. The zero value is empty.
type Header struct{}

// A Field is one header field, "Name: value" with folding and CRLF at its end.
type Field []byte

// Name of the field as it stands, without the colon.
func (f Field) Name() string { return "" }

// Value of the field, unfolded and trimmed.
func (f Field) Value() string { return "" }

// Get is the unfolded value of the first field of that name, or "".
func (h *Header) Get(name string) string { return "" }

// Values are the unfolded values of all fields of that name.
func (h *Header) Values(name string) []string { return nil }

// Count is the number of fields of that name.
func (h *Header) Count(name string) int { return 0 }

// Fields are all fields in order. Not to be changed.
func (h *Header) Fields() []Field { return nil }

// Prepend puts raw fields ("Name: value\r\n", folded where they are long)
// before all others.
func (h *Header) Prepend(raw string) error { return nil }

// Append puts raw fields after all others.
func (h *Header) Append(raw string) error { return nil }

// Delete removes the fields for which del is true and returns their number.
func (h *Header) Delete(del func(Field) bool) int { return 0 }

// Size in bytes.
func (h *Header) Size() int64 { return 0 }
