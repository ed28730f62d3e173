"""What an auditor asks for, told from the journal's own records. Pure: records in, values and pages out."""
