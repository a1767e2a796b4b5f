"""What is checked about photographs before anything is taught from them.

``facts`` measures a file once; ``duplicates`` compares files; ``checks`` turns both into findings; ``verdict`` decides,
with the declared actions and a person's ``reviews``, what stays; ``report`` shows it.
"""
